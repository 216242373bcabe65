//! `imn weights import bert` on a checkpoint of two narrow layers: what its configuration may say, what its files may lack.

use std::fs;

use burn::prelude::Device;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde_json::{Value, json};
use shared_model::joint::JointConfig;
use shared_model::pack::{Entry, Precision, write};
use shared_model::vision::VisionConfig;
use tests::{Dir, Run, config, fill, fixture_path, pack, picture};

const D_MODEL: usize = 8;
const D_FF: usize = 16;
const N_LAYERS: usize = 2;
const PIECES: [&str; 8] = [
    "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "a", "jaguar", "sleeps",
];

type Weight = (String, Vec<usize>, Vec<f32>);

/// A checkpoint as Hugging Face has it.
struct Checkpoint {
    config: Value,
    weights: Vec<Weight>,
    dir: Dir,
}

impl Checkpoint {
    fn new() -> Self {
        Self::with_positions(16)
    }

    fn with_positions(positions: usize) -> Self {
        let mut shapes = vec![
            (
                "embeddings.word_embeddings.weight".to_owned(),
                vec![PIECES.len(), D_MODEL],
            ),
            (
                "embeddings.position_embeddings.weight".to_owned(),
                vec![positions, D_MODEL],
            ),
            (
                "embeddings.token_type_embeddings.weight".to_owned(),
                vec![2, D_MODEL],
            ),
        ];
        let mut both = |name: String, shape: &[usize]| {
            shapes.push((format!("{name}.weight"), shape.to_vec()));
            shapes.push((format!("{name}.bias"), vec![shape[0]]));
        };
        both("embeddings.LayerNorm".to_owned(), &[D_MODEL]);
        for layer in 0..N_LAYERS {
            for (name, shape) in [
                ("attention.self.query", &[D_MODEL, D_MODEL][..]),
                ("attention.self.key", &[D_MODEL, D_MODEL]),
                ("attention.self.value", &[D_MODEL, D_MODEL]),
                ("attention.output.dense", &[D_MODEL, D_MODEL]),
                ("attention.output.LayerNorm", &[D_MODEL]),
                ("intermediate.dense", &[D_FF, D_MODEL]),
                ("output.dense", &[D_MODEL, D_FF]),
                ("output.LayerNorm", &[D_MODEL]),
            ] {
                both(format!("encoder.layer.{layer}.{name}"), shape);
            }
        }
        let weights = shapes.into_iter().map(|(name, shape)| {
            let values = fill(&name, &shape);
            (name, shape, values)
        });
        let config = json!({
            "model_type": "bert", "hidden_size": D_MODEL, "num_hidden_layers": N_LAYERS,
            "num_attention_heads": 2, "intermediate_size": D_FF, "vocab_size": PIECES.len(),
            "max_position_embeddings": positions, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
        });
        let checkpoint = Self {
            config,
            weights: weights.collect(),
            dir: Dir::new(),
        };
        let vocabulary: Value = PIECES
            .iter()
            .enumerate()
            .map(|(id, piece)| (*piece, id))
            .collect();
        let tokenizer = json!({
            "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
            "normalizer": {"type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true,
                "strip_accents": null, "lowercase": true},
            "pre_tokenizer": {"type": "BertPreTokenizer"}, "post_processor": null, "decoder": null,
            "model": {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
                "max_input_chars_per_word": 100, "vocab": vocabulary},
        });
        checkpoint
            .dir
            .create("bert/tokenizer.json", tokenizer.to_string());
        checkpoint
    }

    /// Sets a key of `config.json`.
    fn set(mut self, key: &str, value: Value) -> Self {
        self.config[key] = value;
        self
    }

    /// Writes some of the tensors to a file of the checkpoint.
    fn save(&self, file: &str, weights: &[Weight]) {
        let bytes: Vec<Vec<u8>> = weights
            .iter()
            .map(|(_, _, values)| {
                values
                    .iter()
                    .flat_map(|value| value.to_le_bytes())
                    .collect()
            })
            .collect();
        let views = weights.iter().zip(&bytes).map(|((name, shape, _), bytes)| {
            (
                name,
                TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap(),
            )
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        self.dir.create(&format!("bert/{file}"), bytes);
    }

    /// Writes the tensors to `n` shards with an index.
    fn save_shards(&self, n: usize) {
        let mut files = serde_json::Map::new();
        for (i, weights) in self
            .weights
            .chunks(self.weights.len().div_ceil(n))
            .enumerate()
        {
            let file = format!("model-{:05}-of-{n:05}.safetensors", i + 1);
            self.save(&file, weights);
            files.extend(
                weights
                    .iter()
                    .map(|(name, ..)| (name.clone(), file.clone().into())),
            );
        }
        let index = json!({"metadata": {"total_size": 0}, "weight_map": files});
        self.dir
            .create("bert/model.safetensors.index.json", index.to_string());
    }

    /// Imports what lies in the folder.
    fn import(&self, source: &str) -> Run {
        self.dir.create("bert/config.json", self.config.to_string());
        self.dir
            .imn(&format!("weights import bert {source} --to out"))
    }

    /// Saves and imports the checkpoint as one file.
    fn import_whole(&self) -> Run {
        self.save("model.safetensors", &self.weights);
        self.import("bert")
    }

    #[track_caller]
    fn refused(run: Run, dir: &Dir, said: &[&str]) {
        run.refused(said);
        assert!(!dir.path("out").exists(), "a refused import left a file");
    }

    /// The text tokens of the imported encoder, row by row.
    fn embed(&self, text: &str) -> Vec<f32> {
        let words = [
            "embed",
            "--weights",
            "out",
            "--text",
            text,
            "--out",
            "tokens.safetensors",
        ];
        tests::run(self.dir.root(), &words).ok();
        let bytes = fs::read(self.dir.path("tokens.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let text = tensors.tensor("text").unwrap();
        assert_eq!(text.shape()[1], D_MODEL);
        let values = text.data().as_chunks().0.iter().copied();
        values.map(f32::from_le_bytes).collect()
    }
}

#[test]
fn the_activation_is_that_of_the_configuration() {
    let tokens = |act: Option<&str>| {
        let checkpoint = Checkpoint::new();
        let checkpoint = match act {
            Some(act) => checkpoint.set("hidden_act", act.into()),
            None => checkpoint,
        };
        checkpoint.import_whole().ok();
        checkpoint.embed("a jaguar sleeps")
    };
    let (gelu, tanh, relu) = (
        tokens(Some("gelu")),
        tokens(Some("gelu_new")),
        tokens(Some("relu")),
    );
    assert_eq!(gelu, tokens(None));
    assert_eq!(tanh, tokens(Some("gelu_pytorch_tanh")));
    let largest_difference = |a: &[f32], b: &[f32]| {
        let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
        differences.fold(0.0, f32::max)
    };
    let approximation = largest_difference(&gelu, &tanh);
    assert!((1e-6..1e-2).contains(&approximation), "{approximation}");
    assert!(largest_difference(&gelu, &relu) > 1e-2);
}

#[test]
fn another_architecture_is_refused_by_name() {
    for (key, value) in [
        ("model_type", "roberta"),
        ("model_type", "distilbert"),
        ("position_embedding_type", "relative_key"),
        ("hidden_act", "silu"),
    ] {
        let checkpoint = Checkpoint::new().set(key, value.into());
        let run = checkpoint.import_whole();
        Checkpoint::refused(
            run,
            &checkpoint.dir,
            &["config.json", key, value, "supported"],
        );
    }
}

#[test]
fn sizes_that_do_not_fit_are_refused() {
    for (key, value, said) in [
        ("num_attention_heads", 3, "3 attention heads"),
        ("num_attention_heads", 16, "16 attention heads"),
        ("num_attention_heads", 0, "0 attention heads"),
        ("num_hidden_layers", 3, "2 layers instead of 3"),
        ("intermediate_size", 32, "[8, 32]"),
        ("vocab_size", 7, "8 pieces"),
    ] {
        let checkpoint = Checkpoint::new().set(key, value.into());
        let run = checkpoint.import_whole();
        Checkpoint::refused(run, &checkpoint.dir, &[said]);
    }
}

#[test]
fn a_text_is_cut_to_the_positions_that_the_encoder_has() {
    let text = "a jaguar sleeps ".repeat(40);
    for positions in [3, 7, 100] {
        let checkpoint = Checkpoint::with_positions(positions);
        checkpoint.import_whole().ok();
        assert_eq!(checkpoint.embed(&text).len(), positions * D_MODEL);
        assert_eq!(checkpoint.embed("a").len(), 3 * D_MODEL);
    }
    let checkpoint = Checkpoint::with_positions(2);
    let run = checkpoint.import_whole();
    Checkpoint::refused(run, &checkpoint.dir, &["2 positions"]);
}

#[test]
fn a_value_that_is_not_finite_is_refused() {
    for (tensor, value) in [
        ("embeddings.word_embeddings.weight", f32::NAN),
        ("encoder.layer.1.output.LayerNorm.bias", f32::INFINITY),
        (
            "encoder.layer.0.attention.self.key.weight",
            f32::NEG_INFINITY,
        ),
    ] {
        let mut checkpoint = Checkpoint::new();
        let (_, _, values) = checkpoint
            .weights
            .iter_mut()
            .find(|(name, ..)| name == tensor)
            .unwrap();
        *values.last_mut().unwrap() = value;
        let run = checkpoint.import_whole();
        Checkpoint::refused(run, &checkpoint.dir, &[tensor, "finite"]);
    }
}

#[test]
fn shards_are_read_as_one_checkpoint() {
    let entries = |dir: &Dir| {
        let pack = pack(&dir.path("out/text.bpk"));
        let digests = pack.metadata("sha256").unwrap().split(' ').count();
        (write(pack.entries(), &[], Precision::F32).unwrap(), digests)
    };
    let whole = Checkpoint::new();
    whole.import_whole().ok();
    let (expected, _) = entries(&whole.dir);
    for n in [2, 3, 5] {
        let sharded = Checkpoint::new();
        sharded.save_shards(n);
        sharded.import("bert").ok();
        let (found, digests) = entries(&sharded.dir);
        assert!(found == expected, "{n} shards give other tensors");
        assert_eq!(digests, n, "one SHA-256 per shard");
        sharded.import("bert/model.safetensors.index.json").ok();
    }
}

#[test]
fn incomplete_shards_are_refused() {
    let shard = |i: usize| format!("model-{i:05}-of-00003.safetensors");
    for i in 1..=3 {
        let checkpoint = Checkpoint::new();
        checkpoint.save_shards(3);
        fs::remove_file(checkpoint.dir.path(&format!("bert/{}", shard(i)))).unwrap();
        let run = checkpoint.import("bert");
        Checkpoint::refused(run, &checkpoint.dir, &[&shard(i), "missing"]);
    }

    let checkpoint = Checkpoint::new();
    checkpoint.save_shards(3);
    let run = checkpoint.import(&format!("bert/{}", shard(2)));
    Checkpoint::refused(run, &checkpoint.dir, &[&shard(2), "one shard of several"]);

    let index = "bert/model.safetensors.index.json";
    for (text, said) in [
        (r#"{"weight_map":{}}"#, "no shard"),
        (
            r#"{"weight_map":{"a":"../a.safetensors"}}"#,
            "../a.safetensors",
        ),
        (r#"{"weight_map":"#, "malformed"),
    ] {
        checkpoint.dir.create(index, text);
        let run = checkpoint.import("bert");
        Checkpoint::refused(run, &checkpoint.dir, &["index.json", said]);
    }

    fs::remove_file(checkpoint.dir.path(index)).unwrap();
    let run = checkpoint.import("bert");
    Checkpoint::refused(run, &checkpoint.dir, &["bert", "without the index"]);
}

/// A weight folder `out` with a text encoder, DETR, word vectors and a joint encoder, all narrow.
fn narrow_encoders() -> Dir {
    let checkpoint = Checkpoint::new();
    checkpoint.import_whole().ok();
    let dir = checkpoint.dir;
    let detr = fs::read(fixture_path("detr_narrow.pth")).unwrap();
    dir.create("detr/detr.pth", detr);
    dir.create("detr/config.json", r#"{"encoder_attention_heads":2}"#);
    dir.create("glove.txt", "jaguar 0.1 0.2\nsleeps 0.3 0.4\n");
    dir.imn("weights import detr detr --to out").ok();
    dir.imn("weights import glove glove.txt --to out").ok();

    let vision: VisionConfig = config(&pack(&dir.path("out/detr.bpk")));
    let joint = JointConfig {
        d_model: D_MODEL,
        n_layers: 1,
        n_heads: 2,
        d_ff: D_FF,
        max_text: 16,
        word_width: 2,
        image_width: vision.widths().0,
        patches: vision.tokens(),
        layer_norm_eps: 1e-12,
        dropout: 0.1,
    };
    let sizes = serde_json::to_string(&joint).unwrap();
    let entries = Entry::of_module(&joint.init(&Device::flex()));
    let bytes = write(entries, &[("config", &sizes)], Precision::F32).unwrap();
    dir.create("out/joint.bpk", bytes);
    picture([64, 48, 1]).save(dir.path("picture.png")).unwrap();
    dir
}

#[test]
fn embed_gives_the_tokens_of_the_encoders_that_are_there() {
    const TEXT: [&str; 2] = ["text.bpk", "tokenizer.json"];
    const IMAGE: [&str; 1] = ["detr.bpk"];
    const WORDS: [&str; 1] = ["words.bpk"];
    const JOINT: [&str; 1] = ["joint.bpk"];
    let dir = narrow_encoders();
    let embed = |files: &[&[&str]]| {
        if dir.path("part").exists() {
            fs::remove_dir_all(dir.path("part")).unwrap();
        }
        fs::create_dir(dir.path("part")).unwrap();
        for file in files.concat() {
            fs::copy(
                dir.path(&format!("out/{file}")),
                dir.path(&format!("part/{file}")),
            )
            .unwrap();
        }
        let words = [
            "embed",
            "--weights",
            "part",
            "--vision",
            "detr",
            "--text",
            "a jaguar sleeps",
            "--span",
            "2..8",
            "--image",
            "picture.png",
            "--out",
            "part.safetensors",
        ];
        tests::run(dir.root(), &words)
    };
    let mut tokens: Vec<(String, Vec<u8>)> = Vec::new();
    for (files, given) in [
        (
            &[&TEXT[..], &IMAGE, &WORDS, &JOINT][..],
            &["image", "joint", "text", "word"][..],
        ),
        (&[&TEXT, &IMAGE, &WORDS], &["image", "text", "word"]),
        (&[&TEXT, &IMAGE], &["image", "text"]),
        (&[&TEXT, &WORDS, &JOINT], &["text", "word"]),
        (&[&TEXT], &["text"]),
        (&[&IMAGE, &WORDS], &["image", "word"]),
        (&[&IMAGE, &JOINT], &["image"]),
        (&[&WORDS], &["word"]),
    ] {
        let run = embed(files);
        let said = run.stderr.clone();
        run.ok();
        let bytes = fs::read(dir.path("part.safetensors")).unwrap();
        let tensors = SafeTensors::deserialize(&bytes).unwrap();
        let mut names = tensors.names();
        names.sort();
        assert_eq!(names, given, "{files:?}");
        for name in ["image", "joint", "text", "word"] {
            let named = said.contains(&format!("{name}: "));
            assert_eq!(named, !given.contains(&name), "{files:?}: {said}");
        }
        // Each encoder says the same alone as among the others.
        for (name, view) in tensors.iter() {
            match tokens.iter().find(|(known, _)| known == name) {
                Some((_, data)) => assert!(data == view.data(), "{name} of {files:?}"),
                None => tokens.push((name.to_owned(), view.data().to_vec())),
            }
        }
    }
    fs::remove_file(dir.path("part.safetensors")).unwrap();
    for files in [&[][..], &[&JOINT[..]]] {
        embed(files).refused(&["part: no encoder", "text: ", "image: ", "word: ", "fetch"]);
        assert!(!dir.path("part.safetensors").exists());
    }
}
