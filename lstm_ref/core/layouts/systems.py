"""The layouts that we know, each with where that is written down.

Every entry was checked against its source; parity_tests/core/test_layouts.py runs each system's own equations on
converted weights. Two sources say one thing and do another, which is what a table is for:

- The order that OpenVINO's GPU plugin calls izof is i,f,z,o in the map from gates to offsets that its kernels use; the
  comment beside the name, "PyTorch order", is right and the name is wrong.
- The emulation in the text of WebNN lets the output gate see the old cell through its peephole; ONNX, oneDNN and the
  papers [Gers & Schmidhuber 2000] let it see the new one. The weights are carried over; what they compute differs.

Names of arrays are the systems' own where they have one. cuDNN's parameters are addresses in a buffer, so matrix<k> and
bias<k> are its linLayerID; flashrnn leaves the product with the input to the caller, so its W is a form of ours.
"""

from lstm_ref.core.errors import UsageError
from lstm_ref.core.layouts.layout import Array, Layout

W, R = ("weight_ih",), ("weight_hh",)
B_IH, B_HH, B = ("bias_ih",), ("bias_hh",), ("bias",)
PEEPHOLE, PROJECTION = ("peephole",), ("weight_hr",)

PYTORCH = Layout(
    name="pytorch",
    gates="ifgo",
    arrays=(
        Array("weight_ih_l{l}{reverse}", W, "gu x"),
        Array("weight_hh_l{l}{reverse}", R, "gu x"),
        Array("bias_ih_l{l}{reverse}", B_IH, "gu"),
        Array("bias_hh_l{l}{reverse}", B_HH, "gu"),
        Array("weight_hr_l{l}{reverse}", PROJECTION, "r u"),
    ),
    note="Ours. The state is [L*D,B,H] even with batch_first.",
    source="docs.pytorch.org torch.nn.LSTM",
)
CUDNN = Layout(
    name="cudnn",
    gates="ifgo",
    arrays=(
        Array("matrix{g}", W, "u x", labels="0123"),
        Array("matrix{g}", R, "u x", labels="4567"),
        Array("bias{g}", B_IH, "u", labels="0123"),
        Array("bias{g}", B_HH, "u", labels="4567"),
        Array("matrix8", PROJECTION, "r u"),
    ),
    note="By linLayerID; pseudoLayer = D*layer + direction. Biases: none, one side (the other is then 0), or both.",
    source="NVIDIA cuDNN API, cudnnGetRNNWeightParams and cudnnRNNMode_t",
)
KERAS = Layout(
    name="keras",
    gates="ifgo",
    arrays=(
        Array("kernel", W, "x gu"),
        Array("recurrent_kernel", R, "x gu"),
        Array("bias", B, "gu"),
    ),
    note="unit_forget_bias only sets the stored bias to 1 at the start. Bidirectional: forward layer, backward layer.",
    source="keras/src/layers/rnn/lstm.py, LSTMCell.call",
)
TF1 = Layout(
    name="tf1",
    gates="igfo",
    arrays=(
        Array("kernel", ("weight_ih", "weight_hh"), "x+ gu"),
        Array("bias", B, "gu"),
    ),
    states="c, h",
    forget_bias=1.0,
    note="BasicLSTMCell: i,j,f,o with j the candidate; forget_bias is added at run time.",
    source="tensorflow/python/ops/rnn_cell_impl.py, BasicLSTMCell; tensorflow#29308",
)
FLAX = Layout(
    name="flax",
    gates="ifgo",
    arrays=(
        Array("i{g}/kernel", W, "x u"),
        Array("h{g}/kernel", R, "x u"),
        Array("h{g}/bias", B, "u"),
    ),
    states="c, h",
    note="LSTMCell and OptimizedLSTMCell alike. Only the recurrent Dense layers have a bias.",
    source="flax/linen/recurrent.py, OptimizedLSTMCell; flax#3746",
)
ONNX = Layout(
    name="onnx",
    gates="iofg",
    arrays=(
        Array("W", W, "d gu x"),
        Array("R", R, "d gu x"),
        Array("B", ("bias_ih", "bias_hh"), "d gu+"),
        Array("P", PEEPHOLE, "d pu"),
    ),
    peepholes="iof",
    note="One layer a node. Y is [T,D,B,H].",
    source="onnx/docs/Operators.md, LSTM",
)
WEBNN = Layout(
    name="webnn",
    gates="iofg",
    arrays=(
        Array("weight", W, "d gu x"),
        Array("recurrentWeight", R, "d gu x"),
        Array("bias", B_IH, "d gu"),
        Array("recurrentBias", B_HH, "d gu"),
        Array("peepholeWeight", PEEPHOLE, "d pu"),
    ),
    peepholes="iof",
    peephole_of_old_cell=True,
    note="One layer an operation. In the text's emulation the output gate's peephole sees the old cell.",
    source="W3C Web Neural Network API, lstm and lstmCell, layout iofg (the default)",
)
WEBNN_IFGO = Layout(
    name="webnn-ifgo",
    gates="ifgo",
    arrays=WEBNN.arrays,
    peepholes="iof",
    peephole_of_old_cell=True,
    note="As webnn with layout ifgo; peepholes stay in the order i,o,f.",
    source="W3C Web Neural Network API, MLLstmWeightLayout",
)
ONEDNN = Layout(
    name="onednn",
    gates="ifgo",
    arrays=(
        Array("weights_layer", W, "l d x g u"),
        Array("weights_iter", R, "l d x g u"),
        Array("bias", B, "l d g u"),
        Array("weights_peephole", PEEPHOLE, "l d p u"),
        Array("weights_projection", PROJECTION, "l d u r"),
    ),
    peepholes="ifo",
    note="Format tags ldigo and ldgo. All layers in one array, so with L > 1 their inputs are of one size.",
    source="oneDNN developer guide, RNN primitive",
)
OPENVINO = Layout(
    name="openvino",
    gates="figo",
    arrays=(
        Array("W", W, "d gu x"),
        Array("R", R, "d gu x"),
        Array("B", B, "d gu"),
    ),
    note="Order f,i,c,o. States are [B,D,H], X is [B,T,I], Y is [B,D,T,H].",
    source="OpenVINO operation specification, LSTMSequence-5",
)
CLDNN_IOFZ = Layout(
    name="cldnn-iofz",
    gates="iofg",
    arrays=(
        Array("weights", W, "d gu x"),
        Array("recurrent", R, "d gu x"),
        Array("bias", B, "d gu"),
    ),
    note="OpenVINO's GPU plugin, the order called ONNX's.",
    source="openvino intel_gpu/primitives/rnn.hpp; kernel_selector lstm GetOffsetIndex",
)
CLDNN_IFOZ = Layout(
    name="cldnn-ifoz",
    gates="ifog",
    arrays=CLDNN_IOFZ.arrays,
    note="OpenVINO's GPU plugin, the order called Caffe's.",
    source=CLDNN_IOFZ.source,
)
CLDNN_IZOF = Layout(
    name="cldnn-izof",
    gates="ifgo",
    arrays=CLDNN_IOFZ.arrays,
    note="OpenVINO's GPU plugin, the order called PyTorch's: its kernels read i,f,z,o, whatever the name says.",
    source=CLDNN_IOFZ.source,
)
CHAR_RNN = Layout(
    name="char-rnn",
    gates="ifog",
    arrays=(
        Array("i2h.weight", W, "gu x"),
        Array("h2h.weight", R, "gu x"),
        Array("i2h.bias", B_IH, "gu"),
        Array("h2h.bias", B_HH, "gu"),
    ),
    states="c, h",
    note="Two nn.Linear, each with a bias; the names are the nodes' annotations.",
    source="karpathy/char-rnn model/LSTM.lua",
)
TORCH_RNN = Layout(
    name="torch-rnn",
    gates="ifog",
    arrays=(
        Array("weight", ("weight_ih", "weight_hh"), "x+ gu"),
        Array("bias", B, "gu"),
    ),
    states="c, h",
    note="Called with {c0, h0, x}. The stored bias starts at 1 for the forget gate.",
    source="jcjohnson/torch-rnn LSTM.lua",
)
CAFFE2 = Layout(
    name="caffe2",
    gates="ifog",
    arrays=(
        Array("i2h_w", W, "gu x"),
        Array("gates_t_w", R, "gu x"),
        Array("i2h_b", B_IH, "gu"),
        Array("gates_t_b", B_HH, "gu"),
    ),
    note="Two fully connected layers. LSTMUnit has an argument forget_bias, added at run time; 0 unless set.",
    source="pytorch caffe2/python/rnn_cell.py, caffe2/operators/lstm_unit_op.h",
)
HASTE = Layout(
    name="haste",
    gates="igfo",
    arrays=(
        Array("kernel", W, "x gu"),
        Array("recurrent_kernel", R, "x gu"),
        Array("bias", B, "gu"),
    ),
    note="haste's own parameters; from_native_weights takes PyTorch's. forget_bias=1 only sets the stored bias.",
    source="lmnt-com/haste frameworks/pytorch/lstm.py",
)
NUMPY_ML = Layout(
    name="numpy-ml",
    gates="figo",
    arrays=(
        Array("W{g}", ("weight_hh", "weight_ih"), "x+ u", labels="fuco"),
        Array("b{g}", B, "1 u", labels="fuco"),
    ),
    note="Gates f, u (input), c (candidate), o; the rows of h come before those of x.",
    source="ddbourgin/numpy-ml neural_nets/layers/layers.py, LSTMCell",
)
FLASHRNN = Layout(
    name="flashrnn",
    gates="ifgo",
    arrays=(
        Array("W", W, "g 1 u x"),
        Array("R", R, "g 1 u x"),
        Array("b", B, "g 1 u"),
    ),
    note="One head: with more, R is block diagonal. R is [G,heads,out,in]. Wx is made outside; W is how we keep it.",
    source="NX-AI/flashrnn flashrnn.py (recurrent_shape GHDP), vanilla_fwbw/fw.py",
)

SYSTEMS: dict[str, Layout] = {
    layout.name: layout
    for layout in (
        PYTORCH,
        CUDNN,
        KERAS,
        TF1,
        FLAX,
        ONNX,
        WEBNN,
        WEBNN_IFGO,
        ONEDNN,
        OPENVINO,
        CLDNN_IOFZ,
        CLDNN_IFOZ,
        CLDNN_IZOF,
        CHAR_RNN,
        TORCH_RNN,
        CAFFE2,
        HASTE,
        NUMPY_ML,
        FLASHRNN,
    )
}


def layout_of(name: str) -> Layout:
    """Raises UsageError for a name that is not in the table."""
    if name not in SYSTEMS:
        raise UsageError(f"no layout is called {name!r}: there are {', '.join(SYSTEMS)}")
    return SYSTEMS[name]
