"""Command line of ci: clusters, images, the demonstration."""

import argparse
import os
import sys
from collections.abc import Sequence

from ci import cluster, demo, engine, gotools, host, images, keda, package, publicimages, reference
from ci.paths import BIN, KUBECONFIG
from ci.steps import CommandFailed, Problem, console


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = _parser().parse_args(arguments)
    try:
        code: int = options.run(options) or 0
    except Problem as problem:
        title = "A step failed" if isinstance(problem, CommandFailed) else "This does not work yet"
        console.print(f"[red]✗ {title}.[/red]")
        console.print(str(problem), markup=False)
        return 1
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ci", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="make the cluster with KEDA, or find it healthy")
    up.add_argument("--nodes", type=int, default=1, metavar="N", help="default: 1")
    up.set_defaults(run=lambda options: _up(options.nodes))

    down = commands.add_parser("down", help="remove the cluster")
    down.set_defaults(run=lambda _: cluster.down())

    status = commands.add_parser("status", help="tell whether the cluster is healthy")
    status.set_defaults(run=lambda _: _status())

    load = commands.add_parser("load", help="copy images into the cluster")
    load.add_argument("images", nargs="+", metavar="IMAGE")
    load.set_defaults(run=lambda options: cluster.current().load(*options.images))

    table = commands.add_parser("reference", help="write the charts' reference of their values")
    table.set_defaults(run=lambda _: reference.write())

    show = commands.add_parser("demo", help="install the demonstration and run its pipelines")
    show.set_defaults(run=lambda _: demo.main())

    pack = commands.add_parser("package", help="write the chart's archive into dist/")
    pack.add_argument("options", nargs="*", help="of `helm package`, after --: -- --sign …")
    pack.set_defaults(run=lambda options: package.main(options.options))

    run = commands.add_parser("exec", help="run a command with the pinned helm on its PATH")
    run.add_argument(
        "--test-servers", action="store_true", help="install PostgreSQL, Redis, promtool"
    )
    run.add_argument("--browser", action="store_true", help="install Chromium and its driver")
    run.add_argument("--kube-score", action="store_true", help="put it on the PATH, too")
    run.add_argument("--brokers", action="store_true", help="with the images of every broker")
    run.add_argument(
        "--cluster", action="store_true", help="with kubectl too, a cluster, and the images loaded"
    )
    run.add_argument(
        "--nodes", type=int, default=1, metavar="N", help="of that cluster; default: 1"
    )
    run.add_argument("command", nargs=argparse.REMAINDER)
    run.set_defaults(run=_exec)
    return parser


def _up(nodes: int) -> None:
    keda.provide(cluster.up(nodes))
    cluster.link_tools()
    console.print(f"\nexport PATH={BIN}:$PATH KUBECONFIG={KUBECONFIG}")


def _status() -> int:
    found = cluster.current()
    console.print(found.kubectl("get", "nodes", "--output=wide"))
    return 0


def _exec(options: argparse.Namespace) -> None:
    if options.test_servers:
        host.ensure(host.TEST_SERVERS)
    if options.browser:
        host.ensure(host.BROWSER)
    env = {**os.environ, **(_brokers() if options.brokers else {})}
    env |= {"PATH": f"{BIN}:{os.environ['PATH']}", "KUBECONFIG": str(KUBECONFIG)}
    gotools.link(cluster.helm())
    if options.kube_score:
        gotools.link(gotools.build("kube-score", "github.com/zegl/kube-score/cmd/kube-score"))
    if options.cluster:
        gotools.link(cluster.kubectl())
        found = cluster.up(options.nodes)
        keda.provide(found)
        built = {
            "DEMO_IMAGE": str(images.build_all(found.engine)),
            "EXPORTER_IMAGE": str(images.build_exporter(found.engine)),
            "PLAIN_IMAGE": str(images.build_plain(found.engine)),
        }
        found.load(*images.dependencies(found.engine), *built.values())
        env |= built
    sys.stdout.flush()
    os.execvpe(options.command[0], options.command, env)  # noqa: S606


def _brokers() -> dict[str, str]:
    chosen = engine.choose()
    for image in publicimages.BROKERS:
        publicimages.provide(chosen, image)
    return {**chosen.env, "CONTAINER_ENGINE": chosen.name}


if __name__ == "__main__":
    sys.exit(main())
