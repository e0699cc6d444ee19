"""Weight decay of single parameters."""

import numpy as np
import paddle

from paddlex.nn.conv_bn import ConvBN
from paddlex.nn.weight_decay import exempt_norms_from_decay


def test_normalisation_does_not_decay_and_the_rest_does() -> None:
    unit = paddle.nn.Sequential(ConvBN(3, 4, kernel_size=1))
    exempt_norms_from_decay(unit)
    for parameter in unit.parameters():
        parameter.set_value(paddle.ones_like(parameter))
    optimizer = paddle.optimizer.Momentum(learning_rate=0.1, parameters=unit.parameters(), weight_decay=0.5)
    # Without a gradient from a loss nothing but the decay moves a parameter.
    (0.0 * unit(paddle.ones([1, 3, 2, 2])).sum()).backward()
    optimizer.step()

    values = {name: value.numpy() for name, value in unit.named_parameters()}
    np.testing.assert_allclose(values["0.conv.weight"], 1.0 - 0.1 * 0.5, rtol=1e-6)
    assert (values["0.bn.weight"] == 1.0).all()
    assert (values["0.bn.bias"] == 1.0).all()
