"""Weights of other systems, to and from our form, and which layout an unknown file has."""

from lstm_ref.core.layouts.identify import Candidate, identify
from lstm_ref.core.layouts.layout import Array, Layout
from lstm_ref.core.layouts.systems import SYSTEMS, layout_of

__all__ = ["SYSTEMS", "Array", "Candidate", "Layout", "identify", "layout_of"]
