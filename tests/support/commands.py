"""All commands of the program, as its own registry has them."""

from collections.abc import Iterator
from typing import Any

import typer
from patlm.cli.main import app


def commands() -> Iterator[tuple[str, Any]]:
    """Yield the words that call a command, and what typer made of it."""

    def walk(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        if hasattr(command, "commands"):
            for name in command.commands:
                yield from walk(command.commands[name], (*path, name))
        else:
            yield " ".join(path), command

    yield from walk(typer.main.get_command(app), ())


def kind_of(option: Any) -> str:
    """Return the type of an option's value as older and newer releases of typer name it."""
    if hasattr(option, "type_descriptor"):
        return str(option.type_descriptor.annotation)
    return str(option.type)


MODEL = "python:fakes:scripted"
_ON = f"--topic lamp --title Lamp --model {MODEL}"
_BENCH = f"--data data.jsonl --model {MODEL} --split all --limit 6 --cache cache"
WORDS = {
    "demo": f"--model {MODEL} --trace T",
    "compare": f"{_BENCH} --modes none,quoted --html page.html --markdown page.md",
    "ingest": "more.jsonl --store S --rejects rejects.jsonl",
    "write": f"--user ana --store S --trace T --drafts 2 {_ON}",
    "retrieve": "--user ana --store S --topic lamp --title Lamp",
    "show": "T --all",
    "view": "T --html page.html",
    "stats": "--store S",
    "audit": "--store S --trace T",
    "feedback": "T --run RUN --edited edited.txt --add --store S",
    "forget": "--user bo --store S --trace T --adapters A",
    "reembed": "--store S",
    "train": "--role style --episodes episodes --out run --adapters A --model base --dtype fp32"
    " --steps 2 --parent none",
    "train-encoder": "--store S --out encoder --epochs 1",
    "collect": f"--data data.jsonl --limit 4 --out E --model {MODEL} --adapters none"
    " --store stores",
    "rounds": f"--data data.jsonl --out rounds --work work --targets 4 --model {MODEL}",
    "index": "--store S --train --epochs 1",
    "doctor": f"--store S --model {MODEL}",
    "texts list": "ana --store S --topic sea --since 2024-05-01 --limit 3",
    "texts remove": "ana b-1 --store S --trace T --adapters A",
    "models install": "nobody",
    "models list": "",
    "models remove": "smollm2-135m",
    "models suggest": "",
    "adapters list": "--adapters A",
    "adapters show": "style@2 --adapters A",
    "adapters promote": "style@2 --adapters A",
    "adapters rollback": "style --adapters A",
    "adapters prune": "--keep 1 --adapters A",
    "episodes check": "E0",
    "episodes show": "E0 --run run-1",
    "episodes stats": "E0",
    "episodes export": "E0 --to samples",
    "bench campaign": "--k 4",
    "bench encoder": "--data data.jsonl",
    "bench evidence": "--data data.jsonl",
    "bench graph": "--data data.jsonl",
    "bench loop": "--runs 10",
    "bench retrieval": "--texts 300 --queries 20 --store-folder corpora",
    "bench serving": "--model base --data data.jsonl --quick",
    "bench training": "--model base --episodes episodes --pairs 4 --repeats 1",
    "bench personalization": f"{_BENCH} --out R --arms no_context,both,floors",
    "bench report": "R0",
    "bench crowd": "--callers 2 --seconds 0.5 --answer 0",
    "bench soak": "--minutes 0.1 --people 10",
}
"""What each command is given in a folder of `command_folder`, where it starts its work."""
