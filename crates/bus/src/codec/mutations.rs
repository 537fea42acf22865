//! Captured messages with something wrong are refused or read, and what was read is written so that it reads the same.

use super::mutate::{Numbers, mutated, rounds};
use super::vectors::commands;
use super::*;

/// Repairing what is not JSON makes it longer, but for no more than this: `Infinity` becomes a word in quotes.
const LONGER_MAX: usize = 8;

fn blobs(command: &str) -> Vec<Vec<u8>> {
    commands(command).into_iter().map(|mut words| words.swap_remove(2).into_bytes()).collect()
}

#[test]
fn calls() {
    let seeds = blobs("RPUSH");
    let mut read = 0;
    for round in 0..rounds() {
        let blob = mutated(&seeds, &mut Numbers(round));
        let Ok(call) = CallIn::decode(&blob) else { continue };
        read += 1;
        assert!(call.arguments.get().len() <= LONGER_MAX * blob.len(), "round {round}");
        let out = CallOut {
            id: &call.id,
            api: &call.api,
            procedure: &call.procedure,
            results: &call.results,
            arguments: &call.arguments,
            extension: &call.extension,
        };
        let again = CallIn::decode(&out.encode().unwrap()).unwrap();
        let parts = |call: &CallIn| {
            let arguments = call.arguments.get().to_owned();
            (
                call.id.clone(),
                call.api.clone(),
                call.procedure.clone(),
                call.results.clone(),
                arguments,
            )
        };
        assert_eq!(parts(&again), parts(&call), "round {round}");
    }
    assert!(read > rounds() / 20, "only {read} were read");
}

#[test]
fn results() {
    let seeds = blobs("LPUSH");
    let mut read = 0;
    for round in 0..rounds() {
        let blob = mutated(&seeds, &mut Numbers(round));
        let Ok(result) = ResultIn::decode(&blob) else { continue };
        read += 1;
        let outcome = result.outcome.as_deref();
        let out = ResultOut { id: "x", call_id: &result.call_id, outcome };
        let again = ResultIn::decode(&out.encode().unwrap()).unwrap();
        assert_eq!(again.call_id, result.call_id, "round {round}");
        let text = |result: &ResultIn| match &result.outcome {
            Ok(value) => value.get().to_owned(),
            Err(failure) => format!("{failure:?}"),
        };
        assert_eq!(text(&again), text(&result), "round {round}");
    }
    assert!(read > rounds() / 20, "only {read} were read");
}

#[test]
fn events() {
    let fields = |words: &[String]| {
        let star = words.iter().position(|word| word == "*");
        words.iter().skip(star.map_or(words.len(), |at| at + 1)).cloned().collect::<Vec<_>>()
    };
    let seeds: Vec<_> = commands("XADD").iter().map(|words| fields(words)).collect();
    let texts: Vec<_> = seeds.iter().flatten().map(|text| text.clone().into_bytes()).collect();
    let mut read = 0;
    for round in 0..rounds() {
        let mut numbers = Numbers(round);
        let seed = &seeds[numbers.below(seeds.len())];
        let mut fields: Vec<_> = seed.iter().map(|text| text.clone().into_bytes()).collect();
        if let Some(at) = fields.len().checked_sub(1).map(|last| numbers.below(last + 1)) {
            fields[at] = mutated(&texts, &mut numbers);
        }
        let pairs = fields.chunks_exact(2).map(|pair| (pair[0].as_slice(), pair[1].as_slice()));
        let Ok(Some(event)) = EventIn::decode("1-1", pairs) else { continue };
        read += 1;
        let out = EventOut {
            id: &event.id,
            api: &event.api,
            name: &event.name,
            version: event.version,
            parameters: &event.parameters,
            extension: &event.extension,
        };
        let mut written: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
        out.encode(|name, value| written.push((name.to_vec(), value.to_vec()))).unwrap();
        let pairs = written.iter().map(|(name, value)| (name.as_slice(), value.as_slice()));
        let again = EventIn::decode("1-1", pairs).unwrap().unwrap();
        let parts = |event: &EventIn| {
            let parameters: serde_json::Value = lenient::from_str(event.parameters.get()).unwrap();
            (event.id.clone(), event.api.clone(), event.name.clone(), event.version, parameters)
        };
        assert_eq!(parts(&again), parts(&event), "round {round}");
    }
    assert!(read > rounds() / 20, "only {read} were read");
}
