"""`remask train`: Train and fine-tune the bundled model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from remask_commands import train_campaign, train_readings
from remask_commands.train_clickability import EXAMPLE, clickability
from remask_terminal.options import Json, ModelDevice
from remask_terminal.printing import print_json
from remask_terminal.progress import progress, progress_bars

if TYPE_CHECKING:
    from remask_training.loop import Report
    from remask_training.mask_weights import Weighted

__all__ = ["app"]

app = typer.Typer(help="Train and fine-tune the bundled model.", no_args_is_help=True)

Data = Annotated[
    list[Path],
    typer.Option(
        help="Folder with index.csv, images/ and masks/, or a COCO file (annotations.json, or "
        "instances.json of `remask export coco`) and images/; or a folder of such folders. May be "
        "given several times."
    ),
]


@app.callback()
def group() -> None:
    """Train and fine-tune the bundled model."""


@app.command(
    epilog="Example: `remask train convnet --data masks/ --out runs/mine --steps 500` fine-tunes "
    "the bundled weights; `--init deeplabv3_mobilenetv2_coco_voc.pt` trains from the encoder up."
)
def convnet(
    data: Data,
    out: Annotated[
        Path, typer.Option(help="Folder for the weights, the checkpoint and the curves.")
    ],
    val: Annotated[
        list[Path] | None, typer.Option(help="More folders to measure on while training.")
    ] = None,
    clicks: Annotated[
        Path | None,
        typer.Option(
            help="CSV or Parquet of `remask log export`: what annotators clicked on instances of "
            "the data then takes the place of about half of the simulated clicks."
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="CSV of `remask rank apply`: each mask of the data counts as much as its "
            "`training_weight`; masks that it does not name count as 1."
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            help="Weights to start from: .npz of this model, or the .pt of the DeepLabv3 encoder; "
            "the bundled weights if not given."
        ),
    ] = None,
    config: Annotated[
        str,
        typer.Option(
            help="`small`: an hour of two CPU cores. `fine`: as long again, for weights that are "
            "trained already. `full`: half an hour of a GPU."
        ),
    ] = "small",
    steps: Annotated[
        int | None, typer.Option(help="Batches to train for; the config's if not given.")
    ] = None,
    minutes: Annotated[
        float | None,
        typer.Option(help="End after so many minutes, whatever is left of the batches."),
    ] = None,
    calibrate_on: Annotated[
        int,
        typer.Option(min=0, help="Measured instances that the score is calibrated on at the end."),
    ] = 300,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    device: ModelDevice = "auto",
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the checkpoint in --out.")
    ] = False,
) -> None:
    """Train the network on images with masks, or fine-tune it on your own.

    Writes weights.npz, which `remask serve --model convnet --weights` takes, checkpoint.pt to go
    on from, curves.csv and curves.html. One picture in twenty is held out and measured; on these
    and on --val the score is calibrated, as `remask train calibrate` does.
    """
    from remask_models.weights_file import read_header
    from remask_training.config import CONFIGS
    from remask_training.start import train_convnet

    with progress() as display:
        total = steps or (CONFIGS[config].steps if config in CONFIGS else None)
        bar = display.add_task("reading data", total=total)

        def told(report: Report) -> None:
            ious = " ".join(f"{iou:.3f}" for iou in report.iou)
            display.update(
                bar, completed=report.step, description=f"loss {report.loss:.3f} IoU {ious}"
            )
            for name, measures in report.checks.items():
                line = " ".join(f"{key} {value:.3f}" for key, value in measures.items())
                display.console.print(f"{report.step}: {name}: {line}", highlight=False)

        def played(done: int, total: int) -> None:
            display.update(bar, completed=done, total=total, description="calibrating the score")

        def weighted(found: Weighted) -> None:
            display.console.print(found.sentence, highlight=False, markup=False)

        trained = train_convnet(
            data,
            out=out,
            val=val or [],
            init=init,
            config=config,
            steps=steps,
            minutes=minutes,
            clicks=clicks,
            weights=weights,
            calibrated_on=calibrate_on,
            seed=seed,
            device=device,
            resume=resume,
            told=told,
            played=played,
            on_weighted=weighted,
        )
        if "score" in (facts := read_header(trained)):
            display.console.print(_reliability(facts["score"]), highlight=False)
    typer.echo(trained)


@app.command(
    epilog="Example: `remask train calibrate --weights runs/mine/weights.npz --data masks/ "
    "--out calibrated.npz`"
)
def calibrate(
    data: Data,
    out: Annotated[Path, typer.Option(help="Weights file to write.")],
    weights: Annotated[
        Path | None, typer.Option(help="Weights file of convnet; the bundled one if not given.")
    ] = None,
    val: Annotated[
        list[Path] | None,
        typer.Option(help="More folders, of pictures that the weights have not learnt from."),
    ] = None,
    instances: Annotated[int, typer.Option(min=1, help="Play at most so many.")] = 300,
    seed: Annotated[int, typer.Option(help="Seed of the choice, the boxes and the clicks.")] = 0,
    device: ModelDevice = "auto",
    as_json: Json = False,
) -> None:
    """Make the model's score an IoU that can be believed, for weights that are trained already.

    Plays boxes and clicks on the pictures of the data that training holds out, and on --val, and
    stores with the weights how the network's own estimate is to be read. Masks do not change.
    """
    from remask_training.start import calibrate_convnet

    with progress() as display:
        bar = display.add_task("reading data", total=None)

        def played(done: int, total: int) -> None:
            display.update(bar, completed=done, total=total, description="instances")

        score = calibrate_convnet(
            data,
            out=out,
            weights=weights,
            val=val or [],
            instances=instances,
            seed=seed,
            device=device,
            played=played,
        )
    if as_json:
        print_json(score)
        return
    typer.echo(_reliability(score))
    typer.echo(out)


@app.command(
    epilog="Example: `remask train encodings --data train/ --val val/ --out runs/encodings "
    "--init deeplabv3_mobilenetv2_coco_voc.pt`"
)
def encodings(
    data: Data,
    out: Annotated[Path, typer.Option(help="Folder for the three runs.")],
    init: Annotated[Path, typer.Option(help="The .pt of the DeepLabv3 encoder.")],
    val: Annotated[
        list[Path] | None, typer.Option(help="More folders to measure on at the end.")
    ] = None,
    steps: Annotated[
        int, typer.Option(min=1, help="Batches of each run; 200 are two minutes of one core.")
    ] = 200,
    seed: Annotated[int, typer.Option(help="Seed of every draw.")] = 0,
    device: ModelDevice = "cpu",
    as_json: Json = False,
) -> None:
    """Compare clicks as disks, as Gaussians and as a distance map, in three short trainings.

    A run that was stopped goes on where it stopped. The trainings are alike but for the encoding,
    and much too short for what any of them could come to.
    """
    from remask_training.encodings import compare_encodings

    with progress_bars() as told:
        outcomes = compare_encodings(
            data,
            out=out,
            init=init,
            val=val or [],
            steps=steps,
            seed=seed,
            device=device,
            told=lambda encoding, report: told(encoding, report.step, steps),
        )
    if as_json:
        print_json(outcomes)
        return
    for outcome in outcomes:
        for name, measures in outcome.checks.items():
            line = " ".join(f"{key} {value:.3f}" for key, value in measures.items())
            typer.echo(f"{outcome.encoding}, {outcome.steps} batches, {name}: {line}")


app.command(epilog=EXAMPLE)(clickability)
app.command(epilog=train_campaign.EXAMPLE)(train_campaign.campaign)
app.command(epilog=train_readings.EXAMPLE)(train_readings.readings)


def _reliability(score: dict[str, Any]) -> str:
    """Return how well the score predicts the IoU before and after calibration, as a table."""
    played = ", ".join(f"{count} of {name}" for name, count in score["instances"].items())
    lines = [f"Score against IoU in {score['answers']} answers (instances: {played})"]
    lines.append(f"{'':8}{'bias':>8}{'error':>8}{'rank':>8}")
    for name in ("before", "after"):
        told = score[name]
        rank = "-" if told["rank"] is None else f"{told['rank']:.2f}"
        lines.append(f"{name:8}{told['bias']:+8.3f}{told['error']:8.3f}{rank:>8}")
    lines.append("By score, in ten parts: mean score and mean IoU")
    for name in ("before", "after"):
        for measure in ("score", "iou"):
            values = "".join(f"{tenth[measure]:6.2f}" for tenth in score[name]["tenths"])
            lines.append(f"{name:8}{measure:6}{values}")
    return "\n".join(lines)
