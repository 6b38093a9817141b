"""The demonstration: spoken commands go through six nodes and come back as spoken replies.

Source: US1, NFR-003.

    commands.wav ─▶ chunker ▸ resampler ▸ vad ▸ accumulator ═▶ stt ═▶ reply ═▶ tts ─▶ replies.wav
                    └──────────── in this process ─────────┘   └── a process each ──┘

With `--interrupts` a player stands behind tts, and each reply is interrupted while it is heard.

`manifest.json` is the pipeline, with grammar and rules. The recording is made by the synthesizer,
through the engine, when there is none yet.
"""
