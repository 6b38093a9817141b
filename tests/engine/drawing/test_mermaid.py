"""A plan as Mermaid text."""

import re
from dataclasses import replace

from engine.drawing import to_mermaid


def test_a_plan(make_plan):
    plan = make_plan(
        ["mic:Gain", "vad:Wait", "merge:TwoPorts@process", "end:Sink"],
        ["mic vad", "vad merge.audio_input", "merge.left end", "merge.right end"],
    )
    assert to_mermaid(plan).splitlines()[:17] == [
        "flowchart LR",
        '    subgraph s0["local"]',
        '        n0["<b>mic</b><br/>Gain"]',
        "    end",
        '    subgraph s1["local"]',
        '        n1["<b>vad</b><br/>Wait"]',
        "    end",
        '    subgraph s2["own process"]',
        '        n2["<b>merge</b><br/>TwoPorts"]',
        "    end",
        '    subgraph s3["local"]',
        '        n3["<b>end</b><br/>Sink"]',
        "    end",
        '    e0(["input"]) --> n0',
        "    n0 --> n1",
        '    n1 ==>|"→ audio_input"| n2',
        '    n2 ==>|"left"| n3',
    ]


def test_links_inside_a_stage_stand_in_it(make_plan):
    lines = to_mermaid(make_plan(["a:TwoPorts", "b:TwoPorts"], ["a.left b.video_input"]))
    inner, _, outer = lines.partition("\n    end\n")
    assert 'n0 -->|"left → video_input"| n1' in inner
    assert '|"right"| e' in outer


def test_processes_look_different(make_plan):
    text = to_mermaid(make_plan(["a:Gain", "b:Gain@process"], ["a b"]))
    assert "class n0 local" in text
    assert "class n1 process" in text
    assert "classDef process " in text


def test_what_is_unusual_about_an_edge(make_plan):
    link = {"from": "a", "to": "b", "capacity": 3}
    assert '==>|"holds 3"| n1' in to_mermaid(make_plan(["a:Gain", "b:Gain@process"], [link]))


def test_nothing_in_a_name_means_anything(make_plan):
    plan = make_plan(["end:Gain", "graph:Gain", "x-1_2:Gain"], ["end graph", "graph x-1_2"])
    text = to_mermaid(plan)
    assert not re.search(r"^\s*(end|graph)\S", text, re.MULTILINE)
    assert "<b>end</b>" in text


def test_types_are_escaped(make_plan):
    plan = make_plan(["a:Gain"])
    (stage,) = plan.stages
    node = replace(stage.nodes[0], node_type='"]; click n0 "javascript:x" <b>#`\n')
    text = to_mermaid(replace(plan, stages=(replace(stage, nodes=(node,)),)))
    (line,) = [line for line in text.splitlines() if "<b>a</b>" in line]
    label = line.partition("<br/>")[2].removesuffix('"]')
    assert re.fullmatch(r"(?:[\w :…]|#\d+;)*", label), label
