"""The base of everything that a suite may set: unknown keys refused, types strict, values frozen."""

from pydantic import BaseModel, ConfigDict


class Settings(BaseModel):
    """A table of a suite file. Fields are the keys; types, defaults and bounds are the schema."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)
