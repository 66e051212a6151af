"""Numbers in a row become the inputs of a model, and its answers become text again."""

import numpy as np
import pytest

from serving.outputs import FORMATS
from serving.tables import Wanted, of_rows


def test_the_numbers_of_an_example_go_to_the_inputs_one_after_the_other():
    wanted = {"a": Wanted(np.dtype("float32"), (2,)), "b": Wanted(np.dtype("int32"), ())}
    arrays = of_rows([1, 2, 3, 4, 5, 6], wanted, "it")
    assert arrays["a"].tolist() == [[1, 2], [4, 5]] and arrays["b"].tolist() == [3, 6]
    assert {name: array.dtype for name, array in arrays.items()} == {"a": "float32", "b": "int32"}
    with pytest.raises(ValueError, match="an example has 3 numbers, it has 4"):
        of_rows([1, 2, 3, 4], wanted, "it")


@pytest.mark.parametrize(
    "dtype, shown", [("float32", "0.33333334"), ("float64", "0.3333333333333333")]
)
def test_an_answer_has_the_digits_that_its_dtype_holds(dtype, shown):
    predictions = {"y": np.array([1 / 3], dtype)}
    assert FORMATS["json"](predictions, {}) == f'[\n{{"y": {shown}}}\n]'
    assert FORMATS["csv"](predictions, {}) == f"y\n{shown}"
