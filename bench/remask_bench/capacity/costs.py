"""What each step of a click costs, and what machines cost: the inputs of the simulation.

A file of costs is JSON with the fields of `Costs`; `remask bench capacity --measure FILE` writes
one for the machine that it runs on. Fields that a file leaves out have the defaults here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import msgspec

from remask_core.errors import InputError

__all__ = ["Costs", "Prices", "read_costs", "write_costs"]


class Costs(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Costs of one click on one machine; seconds unless a name says otherwise.

    The defaults have the shape of Segment Anything with a ViT-B on a GPU, as the stand-in of
    `remask bench scheduling` has: they are assumed, not measured.

    Attributes:
        source: Where the numbers come from, for the report.
        encode_s: Of the encoder for one image.
        encode_steps: Equal parts of it, between which a click may go first.
        decode_s: Of the decoder, whatever the number of prompts.
        prompt_s: Of the decoder for each prompt answered together.
        read_s_per_mp: Opening and decoding an image, for each megapixel.
        web_s: From the request's arrival to its answer, without the model and the store.
        web_cpu_s: The part of it in which the web process computes; it has one interpreter.
        store_s: Until the click is stored.
        embedding_mb: Memory that an encoded image takes, MB.
        image_mb_per_mp: Size of an image's file for each megapixel, MB.
        network_mb_s: Speed at which a host fetches images, MB per second.
        answer_kb: Size of an answer with its mask, kB.
    """

    source: str = "assumed: the stand-in of `remask bench scheduling`, not measured on a GPU"
    encode_s: float = 0.300
    encode_steps: int = 12
    decode_s: float = 0.007
    prompt_s: float = 0.003
    read_s_per_mp: float = 0.010
    web_s: float = 0.0035
    web_cpu_s: float = 0.0025
    store_s: float = 0.006
    embedding_mb: float = 4.2
    image_mb_per_mp: float = 0.35
    network_mb_s: float = 100.0
    answer_kb: float = 12.0

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name != "source" and not 0 <= value < 1e9:
                raise ValueError(f"`{name}` must be 0 or more; got {value}")
        if self.encode_steps < 1:
            raise ValueError(f"`encode_steps` must be 1 or more; got {self.encode_steps}")
        if self.network_mb_s == 0:
            raise ValueError("`network_mb_s` must be more than 0; got 0")


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices per hour, in any currency. The defaults are round examples, nobody's offer.

    Attributes:
        gpu: Of a GPU with its share of a machine.
        host: Of a machine of 4 cores for a web host.
        database: Of the machine of PostgreSQL, and of the object store's.
    """

    gpu: float = 2.00
    host: float = 0.20
    database: float = 0.40


def read_costs(path: Path) -> Costs:
    """Return the costs in a JSON file.

    Raises:
        InputError: There is no such file, or it does not hold costs.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Costs)
    except OSError as error:
        raise InputError(f"`costs` must be a file that can be read: {error}") from error
    except (msgspec.DecodeError, ValueError) as error:
        raise InputError(f"`costs` must hold costs of a click: {path}: {error}") from error


def write_costs(costs: Costs, path: Path) -> None:
    """Write costs to a JSON file, one field a line.

    Raises:
        InputError: It cannot be written.
    """
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(costs), indent=2) + b"\n")
    except OSError as error:
        raise InputError(f"`measure` must be a file that can be written: {error}") from error
