"""What Python programs and tests import: `Emulator`, `VertexSession` and the rule builder, offered by `emulator` itself."""
