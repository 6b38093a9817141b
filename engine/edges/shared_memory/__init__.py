"""An edge between two processes: payloads in the producer's arena, the rest by doorbell.

Runs on the asyncio loop of the stage (or session) at its end. Source: FR-007, NFR-003, SC-007.

    producer                                            consumer
    try_send ─ slot in the arena ─┐
               descriptor ────────┼── doorbell ──▶ queue ─ try_receive ─▶ turn
               credit, slot ◀─────┴── doorbell ◀── batched: turn ended / no view lives

A packet takes a credit and a slot when it is sent; without either it is refused and the producer's
turn waits. At most 64 descriptors are under way, the rest of the capacity waits here. Credits come
back in batches; a producer that is refused says so (WANT), and gets at once what the consumer has
collected.

Views that outlive their turns never stop the producer: they are rationed, and where what is kept
still leaves no room for a payload, with nothing under way that could make some, it goes by the
socket.
"""

from engine.edges.shared_memory.arena_writer import ArenaWriter
from engine.edges.shared_memory.receiver import SharedMemoryReceiver
from engine.edges.shared_memory.sender import SharedMemorySender

__all__ = ["ArenaWriter", "SharedMemoryReceiver", "SharedMemorySender"]
