"""What containers of other programs say of themselves, held to what they have: names once, no byte that is nobody's."""
