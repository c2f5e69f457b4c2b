"""Soft targets: the teacher's scores of all candidates of a query."""

import torch
from torch import Tensor

from gecko_kedro.training.losses.embedded import Rows, Vectors, by_row


def distillation_loss(
    vectors: Vectors, rows: Rows, *, temperature: float, teacher_temperature: float
) -> Tensor:
    r"""The mean over the rows that have teacher scores of

    .. math:: \sum_{c \in C_i} t_{ic} \left( \log t_{ic} - \log u_{ic} \right)

    the KL divergence of the student from the teacher over the candidates C_i, the positive and the
    row's own negatives: t = softmax(teacher scores / teacher_temperature), u = softmax(s(q_i, c) /
    temperature) with s the cosine. A scalar; 0 where no row has scores.

    Gecko itself keeps only the first and last candidate of the ranking; this is the listwise
    distillation of e.g. RocketQAv2 (arXiv 2110.07367).
    """
    to_positive = (vectors.queries * vectors.positives).sum(dim=1)  # (n,)
    to_negatives = (vectors.queries[rows.owner] * vectors.negatives).sum(dim=1)  # (m,)
    own = by_row(to_negatives, rows, fill=-torch.inf)
    student = torch.cat([to_positive[:, None], own], dim=1) / temperature  # (n, 1 + most)
    teacher = rows.teacher[:, : student.shape[1]].to(student.dtype) / teacher_temperature
    if teacher.shape[1] < student.shape[1]:  # no row of the batch has scores for all its texts
        missing = student.shape[1] - teacher.shape[1]
        teacher = torch.nn.functional.pad(teacher, (0, missing), value=torch.nan)
    known = ~teacher.isnan() & (student > -torch.inf)
    taught = known.sum(dim=1) > 1
    if not taught.any():
        return student[:, 0].sum() * 0
    known, student, teacher = known[taught], student[taught], teacher[taught]
    log_student = student.masked_fill(~known, -torch.inf).log_softmax(dim=1)
    log_teacher = teacher.masked_fill(~known, -torch.inf).log_softmax(dim=1)
    differences = (log_teacher - log_student).masked_fill(~known, 0)
    return (log_teacher.exp() * differences).sum(dim=1).mean()
