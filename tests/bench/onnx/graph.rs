//! The encoders as ONNX graphs, written from the weights that ours reads.

use prost::Message as _;
use shared_model::pack::Pack;
use shared_model::text::BertConfig;

/// Stride of each block's depthwise convolution, and whether its input is added, by the layout of EfficientNet-Lite0.
const BLOCKS: [(i64, bool); 16] = [
    (1, false),
    (2, false),
    (1, true),
    (2, false),
    (1, true),
    (2, false),
    (1, true),
    (1, true),
    (1, false),
    (1, true),
    (1, true),
    (2, false),
    (1, true),
    (1, true),
    (1, true),
    (1, false),
];

/// MiniLM's tokens for one text of `tokens` ids.
pub(super) fn bert(pack: &Pack, config: &BertConfig, tokens: usize) -> Vec<u8> {
    let mut graph = Graph::new(pack);
    let (width, heads) = (config.d_model as i64, config.n_heads as i64);
    let norm = |graph: &mut Graph, x: &str, name: &str| {
        let [gamma, beta] = ["gamma", "beta"].map(|part| format!("{name}.{part}"));
        graph.weights([&gamma, &beta]);
        let attributes = vec![
            Attribute::int("axis", -1),
            Attribute::float("epsilon", config.layer_norm_eps as f32),
        ];
        graph.node("LayerNormalization", &[x, &gamma, &beta], attributes)
    };
    graph.weights(["word_embeddings.weight"]);
    let embedded = graph.node("Gather", &["word_embeddings.weight", "input"], vec![]);
    let (_, positions) = pack.floats("position_embeddings.weight").expect("weights");
    let (_, segments) = pack
        .floats("token_type_embeddings.weight")
        .expect("weights");
    let fixed: Vec<f32> = (0..tokens * config.d_model)
        .map(|i| positions[i] + segments[i % config.d_model])
        .collect();
    graph.floats("positions", &[tokens, config.d_model], &fixed);
    let embedded = graph.node("Add", &[&embedded, "positions"], vec![]);
    let mut x = norm(&mut graph, &embedded, "norm");
    graph.ints("apart", &[1, tokens as i64, heads, width / heads]);
    graph.ints("together", &[1, tokens as i64, width]);
    graph.floats("scale", &[1], &[((width / heads) as f32).sqrt().recip()]);
    let transpose = |graph: &mut Graph, x: &str, order: &[i64]| {
        graph.node("Transpose", &[x], vec![Attribute::ints("perm", order)])
    };
    for layer in 0..config.n_layers {
        let layer = format!("encoder.layers.{layer}");
        let project = |graph: &mut Graph, part: &str, order: &[i64]| {
            let y = graph.linear(&x, &format!("{layer}.mha.{part}"));
            let y = graph.node("Reshape", &[&y, "apart"], vec![]);
            transpose(graph, &y, order)
        };
        let query = project(&mut graph, "query", &[0, 2, 1, 3]);
        let key = project(&mut graph, "key", &[0, 2, 3, 1]);
        let value = project(&mut graph, "value", &[0, 2, 1, 3]);
        let scores = graph.node("MatMul", &[&query, &key], vec![]);
        let scores = graph.node("Mul", &[&scores, "scale"], vec![]);
        let attention = graph.node("Softmax", &[&scores], vec![Attribute::int("axis", -1)]);
        let context = graph.node("MatMul", &[&attention, &value], vec![]);
        let context = transpose(&mut graph, &context, &[0, 2, 1, 3]);
        let context = graph.node("Reshape", &[&context, "together"], vec![]);
        let y = graph.linear(&context, &format!("{layer}.mha.output"));
        let y = graph.node("Add", &[&y, &x], vec![]);
        let attended = norm(&mut graph, &y, &format!("{layer}.norm_1"));
        let y = graph.linear(&attended, &format!("{layer}.pwff.linear_inner"));
        let y = graph.node("Gelu", &[&y], vec![]);
        let y = graph.linear(&y, &format!("{layer}.pwff.linear_outer"));
        let y = graph.node("Add", &[&y, &attended], vec![]);
        x = norm(&mut graph, &y, &format!("{layer}.norm_2"));
    }
    graph.bytes(INT64, &[1, tokens as i64], &x)
}

/// The classes of EfficientNet-Lite0 for one picture of `side` by `side`.
pub(super) fn efficientnet(pack: &Pack, side: usize) -> Vec<u8> {
    let mut graph = Graph::new(pack);
    graph.floats("zero", &[], &[0.0]);
    graph.floats("six", &[], &[6.0]);
    let relu6 = |graph: &mut Graph, x: String| graph.node("Clip", &[&x, "zero", "six"], vec![]);
    let stem = graph.convolution("input", "stem", 2);
    let mut x = relu6(&mut graph, stem);
    for (i, (stride, is_residual)) in BLOCKS.into_iter().enumerate() {
        let mut y = x.clone();
        if i > 0 {
            let expanded = graph.convolution(&y, &format!("blocks.{i}.expand"), 1);
            y = relu6(&mut graph, expanded);
        }
        let y = graph.convolution(&y, &format!("blocks.{i}.depthwise"), stride);
        let y = relu6(&mut graph, y);
        let y = graph.convolution(&y, &format!("blocks.{i}.project"), 1);
        x = match is_residual {
            true => graph.node("Add", &[&y, &x], vec![]),
            false => y,
        };
    }
    let head = graph.convolution(&x, "head", 1);
    let head = relu6(&mut graph, head);
    let pooled = graph.node("GlobalAveragePool", &[&head], vec![]);
    let pooled = graph.node("Flatten", &[&pooled], vec![]);
    let classes = graph.linear(&pooled, "classifier");
    graph.bytes(FLOAT, &[1, 3, side as i64, side as i64], &classes)
}

/// A graph with one input, `input`, and one output, `output`.
struct Graph<'a> {
    pack: &'a Pack,
    proto: GraphProto,
}

impl<'a> Graph<'a> {
    fn new(pack: &'a Pack) -> Self {
        Self {
            pack,
            proto: GraphProto::default(),
        }
    }

    /// Adds a node; the name of its output.
    fn node(&mut self, op: &str, inputs: &[&str], attributes: Vec<Attribute>) -> String {
        let output = format!("{op}_{}", self.proto.node.len());
        self.proto.node.push(NodeProto {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![output.clone()],
            op_type: op.to_owned(),
            attribute: attributes,
        });
        output
    }

    /// Adds tensors of the file.
    fn weights<const N: usize>(&mut self, names: [&str; N]) {
        for name in names {
            let (shape, values) = self.pack.floats(name).expect("weights");
            self.floats(name, &shape, &values);
        }
    }

    fn floats(&mut self, name: &str, shape: &[usize], values: &[f32]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.tensor(name, FLOAT, shape, bytes.collect());
    }

    fn ints(&mut self, name: &str, values: &[i64]) {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes());
        self.tensor(name, INT64, &[values.len()], bytes.collect());
    }

    fn tensor(&mut self, name: &str, data_type: i32, shape: &[usize], raw_data: Vec<u8>) {
        self.proto.initializer.push(TensorProto {
            dims: shape.iter().map(|&n| n as i64).collect(),
            data_type,
            name: name.to_owned(),
            raw_data,
        });
    }

    fn linear(&mut self, x: &str, name: &str) -> String {
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{name}.{part}"));
        self.weights([&weight, &bias]);
        let y = self.node("MatMul", &[x, &weight], vec![]);
        self.node("Add", &[&y, &bias], vec![])
    }

    /// A convolution; depthwise where each output channel reads one input channel of several outputs.
    fn convolution(&mut self, x: &str, name: &str, stride: i64) -> String {
        let [weight, bias] = ["weight", "bias"].map(|part| format!("{name}.{part}"));
        self.weights([&weight, &bias]);
        let (shape, _) = self.pack.floats(&weight).expect("weights");
        let groups = if name.ends_with("depthwise") {
            shape[0]
        } else {
            1
        };
        let attributes = vec![
            Attribute::ints("strides", &[stride, stride]),
            Attribute::int("group", groups as i64),
            Attribute::text("auto_pad", "SAME_UPPER"),
        ];
        self.node("Conv", &[x, &weight, &bias], attributes)
    }

    /// The model's file.
    fn bytes(mut self, input_type: i32, input_shape: &[i64], output: &str) -> Vec<u8> {
        self.proto.node.push(NodeProto {
            input: vec![output.to_owned()],
            output: vec!["output".to_owned()],
            op_type: "Identity".to_owned(),
            attribute: vec![],
        });
        let value = |name: &str, elem_type, shape: Option<&[i64]>| ValueInfoProto {
            name: name.to_owned(),
            value_type: Some(TypeProto {
                tensor_type: Some(TensorType {
                    elem_type,
                    shape: shape.map(|shape| TensorShape {
                        dim: shape
                            .iter()
                            .map(|&dim_value| Dimension { dim_value })
                            .collect(),
                    }),
                }),
            }),
        };
        self.proto.name = "encoder".to_owned();
        self.proto.input = vec![value("input", input_type, Some(input_shape))];
        self.proto.output = vec![value("output", FLOAT, None)];
        let model = ModelProto {
            ir_version: 9,
            graph: Some(self.proto),
            opset_import: vec![OperatorSet {
                domain: String::new(),
                version: 20,
            }],
        };
        model.encode_to_vec()
    }
}

// The messages of `onnx.proto`, as far as they are used here.

const FLOAT: i32 = 1;
const INT64: i32 = 7;

#[derive(Clone, PartialEq, prost::Message)]
struct ModelProto {
    #[prost(int64, tag = "1")]
    ir_version: i64,
    #[prost(message, optional, tag = "7")]
    graph: Option<GraphProto>,
    #[prost(message, repeated, tag = "8")]
    opset_import: Vec<OperatorSet>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct OperatorSet {
    #[prost(string, tag = "1")]
    domain: String,
    #[prost(int64, tag = "2")]
    version: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
struct GraphProto {
    #[prost(message, repeated, tag = "1")]
    node: Vec<NodeProto>,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "5")]
    initializer: Vec<TensorProto>,
    #[prost(message, repeated, tag = "11")]
    input: Vec<ValueInfoProto>,
    #[prost(message, repeated, tag = "12")]
    output: Vec<ValueInfoProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct NodeProto {
    #[prost(string, repeated, tag = "1")]
    input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    output: Vec<String>,
    #[prost(string, tag = "4")]
    op_type: String,
    #[prost(message, repeated, tag = "5")]
    attribute: Vec<Attribute>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, tag = "2")]
    f: f32,
    #[prost(int64, tag = "3")]
    i: i64,
    #[prost(bytes = "vec", tag = "4")]
    s: Vec<u8>,
    #[prost(int64, repeated, tag = "8")]
    ints: Vec<i64>,
    #[prost(int32, tag = "20")]
    kind: i32,
}

impl Attribute {
    fn of(name: &str, kind: i32) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            ..Self::default()
        }
    }

    fn float(name: &str, f: f32) -> Self {
        Self {
            f,
            ..Self::of(name, 1)
        }
    }

    fn int(name: &str, i: i64) -> Self {
        Self {
            i,
            ..Self::of(name, 2)
        }
    }

    fn text(name: &str, text: &str) -> Self {
        Self {
            s: text.as_bytes().to_vec(),
            ..Self::of(name, 3)
        }
    }

    fn ints(name: &str, ints: &[i64]) -> Self {
        Self {
            ints: ints.to_vec(),
            ..Self::of(name, 7)
        }
    }
}

#[derive(Clone, PartialEq, prost::Message)]
struct TensorProto {
    #[prost(int64, repeated, tag = "1")]
    dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    data_type: i32,
    #[prost(string, tag = "8")]
    name: String,
    #[prost(bytes = "vec", tag = "9")]
    raw_data: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct ValueInfoProto {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    value_type: Option<TypeProto>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TypeProto {
    #[prost(message, optional, tag = "1")]
    tensor_type: Option<TensorType>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TensorType {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<TensorShape>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TensorShape {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Dimension>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Dimension {
    #[prost(int64, tag = "1")]
    dim_value: i64,
}
