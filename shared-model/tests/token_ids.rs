//! Token ids and mention spans are those of the reference implementation, natively and on wasm32 alike.

use serde::Deserialize;
use shared_model::data::Mention;
use shared_model::tokenizer::{Encoded, Tokenizer};
#[cfg(target_arch = "wasm32")]
use wasm_bindgen_test::wasm_bindgen_test as test;

const TOKENIZER: &[u8] = include_bytes!("../../assets/demo/tokenizer.json");
const REFERENCE: &[u8] = include_bytes!("../../tests/fixtures/bert.json");

#[derive(Deserialize)]
struct Reference {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    label: String,
    text: String,
    mention: Option<Mention>,
    ids: Vec<u32>,
    token_span: Option<(usize, usize)>,
}

#[test]
fn token_ids_are_the_reference_implementations() {
    let tokenizer = Tokenizer::from_bytes(TOKENIZER).expect("the bundle's tokenizer");
    let reference: Reference = serde_json::from_slice(REFERENCE).expect("the fixture");
    assert!(reference.cases.len() >= 6);
    for case in reference.cases {
        let expected = Encoded {
            ids: case.ids,
            mention: case.token_span.map(|(start, end)| start..end),
        };
        let encoded = tokenizer
            .encode(&case.text, case.mention)
            .expect("a text within the limits");
        assert_eq!(encoded, expected, "{}", case.label);
    }
}
