"""`omniggml serve`: speech over HTTP, as OpenAI's clients ask for it, and a page to talk to."""

from __future__ import annotations

import argparse
from typing import Any

from omniggml.cli.arguments import add_model, load_keywords, load_model
from omniggml.cli.exit_codes import CUT
from omniggml.cli.saying import say
from omniggml.errors import InputError
from omniggml.extras import install_command
from omniggml.options import check_integer
from omniggml.text.decoding import read_text
from omniggml.thinker_server import ThinkerServer

_NUMBERS = {
    "slots": (4, "speeches at a time"),
    "queue": (64, "how many more may wait before one is refused with 429"),
    "per-key": (0, "how many of these one key may have; 0: all"),
    "max-characters": (100_000, "of one text"),
    "max-frames": (None, "of one speech; default: the model's limit"),
    "max-body": (16 * 2**20, "bytes of one request"),
    "max-connections": (512, ""),
    "max-seconds": (3600, "that one answer may take"),
    "idle-seconds": (60, "that a client may keep silent, or not read, in the middle of a request"),
    "drain-seconds": (60, "that answers may go on after SIGTERM"),
}


_MOST_REPLICAS = 10_000


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("serve", help="speak over HTTP as OpenAI's clients ask for it, with a page")
    add_model(parser)
    group = parser.add_argument_group("server")
    group.add_argument("--host", default="127.0.0.1", help="where it listens (default 127.0.0.1)")
    group.add_argument("--port", type=int, default=8080, help="0 for a free one (default 8080)")
    group.add_argument("--wyoming", nargs="?", type=int, const=10200, metavar="PORT", help="speak Wyoming, too (10200)")
    group = parser.add_argument_group("who may use it")
    group.add_argument("--api-key", action="append", default=[], metavar="KEY", help="may be repeated")
    group.add_argument("--api-key-file", metavar="FILE", help="keys, one a line: other users can't see them in a list")
    group.add_argument("--unprotected", action="store_true", help="serve other machines without a key")
    group.add_argument("--allow-host", action="append", default=[], metavar="NAME", help="another name of this server")
    group.add_argument("--cors", action="append", default=[], metavar="ORIGIN", help="pages that may use it; * for all")
    group = parser.add_argument_group("limits")
    for name, (default, words) in _NUMBERS.items():
        shown = words if default is None else f"{words} (default {default})".strip()
        group.add_argument(f"--{name}", type=int, default=default, metavar="N", help=shown)
    group = parser.add_argument_group("many machines")
    group.add_argument("--ray", metavar="ADDRESS", help="a Ray cluster: auto, HOST:PORT, or local for one of its own")
    group.add_argument("--replicas", type=int, metavar="N", help="models on it; default: as many as the load asks for")
    group = parser.add_argument_group("answers")
    group.add_argument("--thinker-url", metavar="URL", help="an OpenAI-compatible server that writes the answers")
    group.add_argument("--thinker-key", metavar="KEY", help="its API key")
    group.add_argument("--thinker-model", metavar="NAME", help="which of its models")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    try:
        from omniggml.server.serving import serve
        from omniggml.server.settings import ServerSettings
    except ModuleNotFoundError as error:
        raise InputError(f"a server needs {error.name}: {install_command('server')}") from None
    settings = ServerSettings(
        host=args.host,
        port=args.port,
        api_keys=(*args.api_key, *_keys(args.api_key_file)),
        unprotected=args.unprotected,
        hosts=tuple(args.allow_host),
        cors=tuple(args.cors),
        thinker=_thinker(args),
        **{name.replace("-", "_"): getattr(args, name.replace("-", "_")) for name in _NUMBERS},
    )
    if args.ray is None:
        return CUT if serve(settings, lambda: load_model(args), say, wyoming=args.wyoming) else 0
    from omniggml.server.ray_serving import serve_on_ray

    if args.wyoming is not None:
        raise InputError("Wyoming is a server of one machine: leave out --wyoming or --ray")
    if args.replicas is not None:
        check_integer("replicas", args.replicas, 1, _MOST_REPLICAS)
    serve_on_ray(settings, args.model, load_keywords(args), args.ray, args.replicas, say)
    return 0


def _thinker(args: argparse.Namespace) -> ThinkerServer | None:
    if args.thinker_url is None:
        return None
    return ThinkerServer(args.thinker_url, args.thinker_key, args.thinker_model)


def _keys(path: str | None) -> list[str]:
    """Raises InputError for a file without any: who names one wants nobody else served."""
    if path is None:
        return []
    keys = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    if not keys:
        raise InputError(f"{path} holds no key; it takes one a line")
    return keys
