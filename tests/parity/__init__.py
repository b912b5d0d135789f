"""How closely the engine follows transformers, module by module: `docs/parity.md` tells how to run it."""
