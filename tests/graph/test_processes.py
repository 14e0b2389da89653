"""A program that embeds the loop: without an event loop, forked, ended without a close."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from fakes import ScriptedChat
from langgraph.graph import END, START, StateGraph
from loop_parts import LONG, parts_of
from patlm.graph import Personalizer, build_graph
from patlm.graph import open as opening
from patlm.graph.runtime import Runtime
from patlm.nodes.dependencies import Parts
from patlm.nodes.errors import DeadlineError, LoopError, RequestError
from patlm.nodes.state import LoopState
from processes import HANG_SECONDS
from raising import raises
from store_fixtures import cheap_encoders

SUPPORT = Path(__file__).parents[1] / "support"

HEAD = """
import os, signal, sys, time
from fakes import ScriptedChat
from patlm.graph import Personalizer
from patlm.graph import open as opening
from store_fixtures import cheap_encoders
opening.open_encoders = cheap_encoders
folder = sys.argv[1]
"""

PROGRAMS = {
    "without a close": "print(personalizer.write('ana', title='lamp').text)",
    "by an error": "personalizer.write('ana', title='lamp'); raise SystemExit('mine')",
    "before a call": "print('done')",
    # As with gunicorn --preload, where the app is made before the fork and called after it.
    "of an app made before a fork": "print(preloaded.write('ana', title='lamp').text)",
}
EACH = """
# Nothing is opened before a fork: each child is a program of its own, that ends as programs do.
preloaded = Personalizer(folder, model=ScriptedChat())
for number, body in enumerate({bodies!r}):
    child = os.fork()
    if child == 0:
        for stream in (1, 2):
            os.dup2(os.open(f"{{folder}}-{{number}}.{{stream}}", os.O_CREAT | os.O_WRONLY), stream)
        personalizer = Personalizer(f"{{folder}}-{{number}}", model=ScriptedChat())
        exec(body)
        break
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    print(preloaded.write('ana', title='lamp').text)
"""


def script(tmp_path: Path, body: str) -> subprocess.CompletedProcess[str]:
    """Run a program of its own."""
    path = os.pathsep.join([str(SUPPORT), os.environ.get("PYTHONPATH", "")])
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HEAD + body, str(tmp_path / "store")],
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Personalizer:
    monkeypatch.setattr(opening, "open_encoders", cheap_encoders)
    return Personalizer(tmp_path / "store", model=ScriptedChat())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_program_may_end_anyhow_and_fork_before_its_first_call(tmp_path: Path) -> None:
    done = script(tmp_path, EACH.format(bodies=list(PROGRAMS.values())))
    assert (done.returncode, done.stderr) == (0, "")
    *codes, last = done.stdout.splitlines()
    ends = [
        (int(code), *((tmp_path / f"store-{number}.{stream}").read_text() for stream in (1, 2)))
        for number, code in enumerate(codes)
    ]
    assert dict(zip(PROGRAMS, ends, strict=True)) == {
        "without a close": (0, "A fine view.\n", ""),
        "by an error": (1, "", "mine\n"),
        "before a call": (0, "done\n", ""),
        "of an app made before a fork": (0, "A fine view.\n", ""),
    }
    assert last == "A fine view.", "the parent opens it, too"


FORK = """
personalizer = Personalizer(folder, model=ScriptedChat())
print(personalizer.write('ana', title='lamp').text, flush=True)
child = os.fork()
if child == 0:
    signal.alarm(60)
    began = time.time()
    for call in (
        lambda: personalizer.write('ana', title='lamp', deadline_s=5),
        lambda: personalizer.graph.invoke({'user_id': 'ana', 'task': 'long', 'title': 'lamp'}),
        lambda: Personalizer(folder, model=ScriptedChat()).write('ana', title='lamp'),
    ):
        try: print(call().text, flush=True)
        except Exception as error: print(type(error).__name__, 'fork' in str(error), flush=True)
    print('at once' if time.time() - began < 3 else 'late', flush=True)
    personalizer.close()
    os._exit(0)
print('child', os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
print(personalizer.write('ana', title='lamp').text)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_of_an_open_store_is_told_at_once(tmp_path: Path) -> None:
    done = script(tmp_path, FORK)
    assert done.stdout.splitlines() == [
        "A fine view.",
        "LoopError True",
        "LoopError True",
        "StoreError True",
        "at once",
        "child 0",
        "A fine view.",  # the parent goes on
    ]
    assert (done.returncode, done.stderr) == (0, "")


def test_the_graph_can_be_invoked_without_an_event_loop(app: Personalizer) -> None:
    given = {"user_id": " ana ", "task": "long", "title": "lamp"}
    result = app.graph.invoke(given)  # type: ignore[arg-type]
    assert (result["text"], result["stop_reason"]) == ("A fine view.", "abstained")
    parts = list(app.graph.stream(given, stream_mode="updates"))  # type: ignore[arg-type]
    assert {name for part in parts for name in part} >= {"style-retrieve", "check-stop"}
    with raises(RequestError, "invalid_request", "user_id"):
        app.graph.invoke({"task": "long", "title": "lamp"})  # type: ignore[arg-type]
    app.close()


def test_the_loop_is_a_node_of_a_synchronous_graph(app: Personalizer) -> None:
    outer = StateGraph(LoopState)
    outer.add_node("write", app.graph)
    outer.add_edge(START, "write").add_edge("write", END)
    given = {"user_id": "ana", "task": "long", "title": "lamp"}
    assert outer.compile().invoke(given)["text"] == "A fine view."  # type: ignore[arg-type]
    app.close()


async def test_a_graph_without_a_loop_of_its_own_says_what_to_call() -> None:
    async def provide() -> Parts:
        return parts_of(ScriptedChat())

    graph = build_graph(provide).compile()
    with raises(LoopError, "asynchronous_only", "await graph.ainvoke(...)"):
        await asyncio.to_thread(graph.invoke, LONG)  # type: ignore[arg-type]
    assert (await graph.ainvoke(LONG))["text"]  # type: ignore[arg-type]


def test_the_deadline_holds_while_the_store_is_being_opened() -> None:
    @asynccontextmanager
    async def open_slowly() -> AsyncIterator[Parts]:
        await asyncio.sleep(60)
        yield parts_of(ScriptedChat())

    app = Personalizer("never-opened", model=ScriptedChat())
    app._runtime = Runtime(open_slowly)
    app.graph = build_graph(app._runtime.parts, run=app._runtime.run).compile()
    began = time.monotonic()
    with pytest.raises(DeadlineError):
        app.write("ana", title="lamp", deadline_s=0.5)
    assert time.monotonic() - began < 20
    waiting = ThreadPoolExecutor(1).submit(app.write, "ana", title="lamp", deadline_s=50)
    time.sleep(0.2)
    app.close()  # stops what is being opened, and so does the end of the process
    with raises(LoopError, "closed"):
        waiting.result(HANG_SECONDS)
    assert time.monotonic() - began < 30
