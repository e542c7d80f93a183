"""Bounds of hyperparameters, written once and read by the suite's checks, `show` and the JSON Schema."""

from typing import Annotated

from annotated_types import Ge, Gt, Le

Count = Annotated[int, Ge(1)]
"""A whole number of things, at least one."""
Steps = Annotated[int, Ge(0)]
"""A whole number of steps; none is allowed."""
Rate = Annotated[float, Gt(0)]
"""A learning rate, a temperature, a regulariser that must be positive."""
Weight = Annotated[float, Ge(0)]
"""The weight of a loss term; zero leaves the term out."""
Fraction = Annotated[float, Ge(0), Le(1)]
"""A share between nothing and all."""
Share = Annotated[float, Gt(0), Le(1)]
"""A share that is not nothing."""
