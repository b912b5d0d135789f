"""Speech over HTTP, websockets and Wyoming: OpenAI's interfaces on one model (`docs/server.md`).

Needs the extra `server`; nothing outside of this package imports it but the commands that start it.
"""
