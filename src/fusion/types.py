"""The vocabulary that every layer shares: frozen containers of tensors, and the letters of their axes.

Dimension key:
    B patients              T visits of a patient   V real visits of all patients
    S samples present       R rows of all samples, end to end
    F features of a row     K tokens of a sample    M tokens of a visit
    D model width           O outputs of a head     Q prediction times      C classes
    P columns of a plain table
    J competing causes

Conventions that are never inverted: `event` is True when it happened, `mask` is True when the entry is real,
`risk` is higher when the outlook is worse. Days count from day 0, the start of treatment.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, TypeVar

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from numpy.typing import NDArray
from torch import Tensor

Container = TypeVar("Container", bound="TensorContainer")
Target = TypeVar("Target", "VisitOutcome", "VisitResponse")


def _moved(value: object, device: torch.device | str, non_blocking: bool) -> object:
    if isinstance(value, Tensor | TensorContainer):
        return value.to(device, non_blocking=non_blocking)
    if isinstance(value, Mapping):
        return {key: _moved(item, device, non_blocking) for key, item in value.items()}
    return value


class TensorContainer:
    """Gives a frozen dataclass the `.to(device)` that Lightning asks of a batch."""

    def to(self: Container, device: torch.device | str, non_blocking: bool = False) -> Container:
        """Return a copy whose tensors, also nested ones, lie on `device`."""
        moved = {f.name: _moved(getattr(self, f.name), device, non_blocking) for f in fields(self)}  # type: ignore[arg-type]
        return replace(self, **moved)  # type: ignore[type-var]


@dataclass(frozen=True)
class Outcome(TensorContainer):
    """Time to one endpoint, seen from every visit.

    Attributes:
        duration: Days from the visit to the event or to the end of follow-up; 1 where not at risk.
        event: True where the endpoint was reached.
        at_risk: True where the visit is real, the outcome is known and lies after the visit.
        cause: Which of several competing ends it was, 1, 2, ...; 0 where there was none. None: the task has one.
        last_free: Days from the visit up to which the patient was seen free of the event, for one that is found at a
            scan: it came between `last_free` and `duration`. Equal to `duration` where the day is exact or censored.
        stratum: Group of the patient within which the times are comparable, such as the site.
    """

    duration: Float[Tensor, "B T"]
    event: Bool[Tensor, "B T"]
    at_risk: Bool[Tensor, "B T"]
    cause: Int[Tensor, "B T"] | None = None
    last_free: Float[Tensor, "B T"] | None = None
    stratum: Int[Tensor, "B T"] | None = None

    @property
    def asked(self) -> Bool[Tensor, "B T"]:
        """True where the visit takes part in the loss."""
        return self.at_risk

    def only(self, patients: Bool[Tensor, " B"]) -> "Outcome":
        """The same outcomes with these patients alone at risk."""
        return replace(self, at_risk=self.at_risk & patients[:, None])


@dataclass(frozen=True)
class Response(TensorContainer):
    """Class of response at every visit that precedes its assessment.

    Attributes:
        label: Class index (binary: 1 = objective response); 0 where not known.
        known: True where the visit is real, the label was assessed, and the assessment lies after the visit.
        possible: Which of the RECIST classes PD, SD, PR, CR it may be: one where assessed, several where partly known,
            all where nothing is known. None: nothing is known beyond the label.
    """

    label: Int[Tensor, "B T"]
    known: Bool[Tensor, "B T"]
    possible: Bool[Tensor, "B T C"] | None = None

    @property
    def asked(self) -> Bool[Tensor, "B T"]:
        """True where anything is known that a loss can use."""
        return self.known if self.possible is None else self.known | ~self.possible.all(dim=-1)

    def only(self, patients: Bool[Tensor, " B"]) -> "Response":
        """The same labels, known of these patients alone."""
        possible = None if self.possible is None else self.possible | ~patients[:, None, None]
        return replace(self, known=self.known & patients[:, None], possible=possible)


@dataclass(frozen=True)
class Samples(TensorContainer):
    """All samples of one modality in a batch, laid end to end without padding.

    Attributes:
        rows: Features of every row (a variant, a patch, or the one row of a vector assay).
        offsets: S + 1 edges; sample s holds rows `offsets[s]:offsets[s + 1]`, and may hold none (a MAF without
            variants).
        slot: Place of the sample, patient index * T + visit index; strictly increasing.
    """

    rows: Float[Tensor, "R F"]
    offsets: Int[Tensor, " edges"]
    slot: Int[Tensor, " S"]

    @property
    def sample_of_row(self) -> Int[Tensor, " R"]:
        """Index of the sample that each row belongs to."""
        counts = self.offsets[1:] - self.offsets[:-1]
        sample_S = torch.arange(counts.numel(), device=counts.device)
        # told how long the answer is, a GPU need not wait for the count
        return torch.repeat_interleave(sample_S, counts, output_size=self.rows.shape[0])


@dataclass(frozen=True)
class PatientBatch(TensorContainer):
    """What a model sees of some patients, and what it is to predict.

    Attributes:
        patient_ids: One id per patient.
        day: Day of each visit; visits are in order of time and padded at the end with the last day.
        visit_mask: True where the visit is real.
        samples: Samples by modality; a modality that no patient of the batch has may hold zero samples.
        targets: Outcome or response by task name.
        summary: What the plain models see at each visit: the last value known of every summary column, NaN where none
            was known by then and at padded visits. None where no plain model is asked.
        offset: By task, what plain models say already and the network is to add to; empty unless it learns a residual.
    """

    patient_ids: tuple[str, ...]
    day: Float[Tensor, "B T"]
    visit_mask: Bool[Tensor, "B T"]
    samples: Mapping[str, Samples]
    targets: Mapping[str, Outcome | Response]
    summary: Float[Tensor, "B T P"] | None = None
    offset: Mapping[str, Float[Tensor, "B T"]] = field(default_factory=dict)

    @property
    def num_patients(self) -> int:
        return self.visit_mask.shape[0]

    @property
    def num_visits(self) -> int:
        return self.visit_mask.shape[1]


@dataclass(frozen=True)
class Tokens(TensorContainer):
    """Tokens of all modalities placed on the visits that are real, patient by patient; padded visits cost nothing.

    Attributes:
        values: Embeddings; zero where masked.
        mask: True where the token comes from a sample that exists.
        modality: Index of the modality of each token column.
    """

    values: Float[Tensor, "V M D"]
    mask: Bool[Tensor, "V M"]
    modality: Int[Tensor, " M"]


@dataclass(frozen=True)
class SurvivalPrediction(TensorContainer):
    """Risk and survival curve at every visit.

    Attributes:
        risk: Higher is worse; comparable between patients, and between visits after the first. A first visit may have a
            baseline hazard of its own.
        survival: Probability of no event, of whatever cause, by `times` days after the visit.
        times: Days after the visit, increasing.
        incidence: Probability of an event of each of J competing causes by `times`; None where there is one cause.
        lowest: At each time the least that a member of the ensemble says of `survival`; None where one alone answers.
        highest: The most, likewise. Between them lie the members' answers: how far they agree, and no confidence
            interval.
    """

    risk: Float[Tensor, "B T"]
    survival: Float[Tensor, "B T Q"]
    times: Float[Tensor, " Q"]
    incidence: Float[Tensor, "B T J Q"] | None = None
    lowest: Float[Tensor, "B T Q"] | None = None
    highest: Float[Tensor, "B T Q"] | None = None


@dataclass(frozen=True)
class ResponsePrediction(TensorContainer):
    """Probability of every response class at every visit: nonresponder and responder, or PD, SD, PR, CR."""

    probability: Float[Tensor, "B T C"]


@dataclass(frozen=True)
class VisitTable:
    """What a plain statistical model sees: one row per patient and visit, with the last value known by that day.

    N rows, sorted by patient and visit; P columns.

    Attributes:
        patient_ids: Patient of each row, "N".
        visit: Visit number of each row, 0 = baseline, "N".
        day: Day of the visit, "N".
        features: Last value known by the visit, NaN where the assay was never measured by then, "N P".
        feature_names: `<modality>:<feature>` of each column.
        modality: Modality of each column.
        outcomes: Per endpoint, what `Outcome` holds, "N" each.
        responses: Per response task, what `Response` holds, "N" each.
    """

    patient_ids: NDArray[Any]  # str_ of any width; a checker takes NDArray[np.str_] for width 0 alone
    visit: NDArray[np.int64]
    day: NDArray[np.float64]
    features: NDArray[np.float64]
    feature_names: tuple[str, ...]
    modality: tuple[str, ...]
    outcomes: "Mapping[str, VisitOutcome]"
    responses: "Mapping[str, VisitResponse]"

    def __len__(self) -> int:
        return len(self.day)

    def rows(self, kept: NDArray[np.bool_]) -> "VisitTable":
        """The table of some rows; whoever keeps a visit keeps the patient's earlier ones."""
        return replace(
            self,
            **{name: getattr(self, name)[kept] for name in ("patient_ids", "visit", "day", "features")},
            outcomes={task: _rows_of(outcome, kept) for task, outcome in self.outcomes.items()},
            responses={task: _rows_of(response, kept) for task, response in self.responses.items()},
        )


def _rows_of(target: Target, kept: NDArray[np.bool_]) -> Target:
    values: dict[str, Any] = {name: None if value is None else value[kept] for name, value in vars(target).items()}
    return type(target)(**values)


@dataclass(frozen=True)
class VisitOutcome:
    """Time to one endpoint from every row of a `VisitTable`; see `Outcome`."""

    duration: NDArray[np.float64]
    event: NDArray[np.bool_]
    at_risk: NDArray[np.bool_]
    cause: NDArray[np.int64] | None = None
    last_free: NDArray[np.float64] | None = None
    stratum: NDArray[np.int64] | None = None


@dataclass(frozen=True)
class VisitResponse:
    """Class of response for every row of a `VisitTable`; see `Response`."""

    label: NDArray[np.int64]
    known: NDArray[np.bool_]
    possible: NDArray[np.bool_] | None = None
