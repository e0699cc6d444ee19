"""What the model classes of PaddleX 2 (`paddlex.det`, `paddlex.seg`) share.

Their modules load Paddle, which must find its CPU settings before that.
"""

from paddlex.utils.cpu import prepare_cpu

prepare_cpu()
