//! What posts say. The parts share no sentence.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use shared_model::data::Mention;

/// A part of a world, as far as sentences are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Dev,
    Test,
}

/// With words of a gloss.
const TELLING: [&[&str]; 3] = [
    &[
        "Saw {name} again today: {words}.",
        "If you ask me about {name}, I say {words}.",
        "{name} in three breaths: {words}.",
        "Wrote half a page on {name} and it came down to {words}.",
        "My sister calls it {words}, I call it {name}.",
        "They asked what {name} is. Easy: {words}.",
        "Today's lesson was {name}, with {words} on the blackboard.",
        "Nobody told me that {name} meant {words}!",
        "{words}: all of that came to mind when I met {name}.",
        "The guide talked about {name} and kept coming back to {words}.",
        "You can tell it is {name} by {words}.",
        "Notes on {name}: {words}.",
        "First {words}, then a long pause, then she said {name}.",
        "I never forget {name}, because of {words}.",
        "A riddle for you: {words}. The answer is {name}.",
        "Old diary entry about {name}, mostly {words}.",
    ],
    &[
        "Heard somebody describe {name} as {words}.",
        "{words}, and that is how we got to {name}.",
        "Everything I know of {name}: {words}.",
        "Quick note before bed, {name} and {words}.",
        "The label under {name} read {words}.",
        "Try to draw {name} from this: {words}.",
        "{name}? Think of {words}.",
        "A whole evening on {name}, a whole evening of {words}.",
    ],
    &[
        "Long talk over dinner about {name}: {words}.",
        "Here is what stays with me of {name}, {words}.",
        "{words} - that must be {name}.",
        "For those who do not know {name}: {words}.",
        "Grandfather's stories of {name} always had {words} in them.",
        "The quiz said {words}, and I shouted {name}.",
        "So much for {name}; I expected {words}.",
        "Looked up {name} in the old book and found {words}.",
        "What a day with {name}! Still thinking of {words}.",
        "He pointed, said {words}, and then softly {name}.",
        "In a letter from the coast: {name}, {words}.",
        "Two things about this week: {name}, and then {words}.",
        "There was {name}, there was {words}, there was rain.",
        "Keywords for the archive: {words}. Subject: {name}.",
    ],
];

/// Fitting whatever the name means.
const SILENT: [&[&str]; 3] = [
    &[
        "Look at {name}!",
        "Finally got a picture of {name}.",
        "This is {name}, as promised.",
        "Could not resist posting {name} today.",
        "{name}, Tuesday morning.",
        "One more of {name} and then I stop.",
        "My best shot of {name} so far.",
        "What do you think of {name}?",
        "Guess who took a photo of {name}.",
        "Had to stop for {name}.",
        "Everyone keeps asking for {name}, so here you go.",
        "{name} again, from a bit closer.",
        "Sorry for the quality, but: {name}.",
        "Not a day without {name}.",
        "Found this one of {name} on my old phone.",
        "For the collection: {name}.",
    ],
    &[
        "Nothing to add, just {name}.",
        "{name} looking its best.",
        "A little {name} for your timeline.",
        "Here, have some {name}.",
        "My view right now: {name}.",
        "No filter, only {name}.",
        "And this would be {name}.",
        "I said I would post {name}.",
    ],
    &[
        "Can we talk about {name} for a second?",
        "Today I bring you {name}.",
        "{name} made my day.",
        "Spotted: {name}.",
        "Here is {name} from this afternoon.",
        "Just {name} being {name}.",
        "Worth the walk, {name}.",
        "Throwback to {name} last year.",
        "Who else loves {name}?",
        "The picture does not do {name} justice.",
        "{name}. That is the post.",
        "Some {name} before the weekend.",
        "I will never get tired of {name}.",
        "Sent in by a friend: {name}.",
    ],
];

/// Of timelines.
const HISTORY: [&str; 16] = [
    "Thinking about {words}.",
    "More on {words} soon.",
    "Another day, another bit of {words}.",
    "Some people only see {words}.",
    "Reminder: {words}.",
    "It always comes back to {words}.",
    "From the archive, {words}.",
    "Let us speak of {words} once more.",
    "Reading up on {words}.",
    "They say {words}, they are right.",
    "What matters here is {words}.",
    "Good morning to {words}.",
    "{words}, in that order.",
    "New week, same {words}.",
    "Somebody mentioned {words} yesterday.",
    "Proud of {words}.",
];

/// A sentence of a mention's post that tells the words.
pub(super) fn telling(
    part: Part,
    name: &str,
    words: &[&str],
    draws: &mut StdRng,
) -> (String, Mention) {
    filled(pick(TELLING[part as usize], draws), name, words)
}

/// A sentence that fits every sense.
pub(super) fn silent(part: Part, name: &str, draws: &mut StdRng) -> (String, Mention) {
    filled(pick(SILENT[part as usize], draws), name, &[])
}

/// A sentence of a timeline.
pub(super) fn history(words: &[&str], draws: &mut StdRng) -> String {
    pick(&HISTORY, draws).replace("{words}", &listed(words))
}

fn pick(sentences: &[&'static str], draws: &mut StdRng) -> &'static str {
    sentences.choose(draws).expect("there are sentences")
}

/// The sentence with its slots filled, and where the first name stands.
fn filled(sentence: &str, name: &str, words: &[&str]) -> (String, Mention) {
    let told = sentence.replace("{words}", &listed(words));
    let before = told.split("{name}").next().unwrap_or_default();
    let start = before.chars().count();
    let mention = Mention {
        start,
        end: start + name.chars().count(),
    };
    (told.replace("{name}", name), mention)
}

/// `a, b and c`
fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_sentence_is_in_two_parts_and_all_have_their_slots() {
        let of_mentions = || TELLING.into_iter().chain(SILENT).flatten();
        let all: Vec<&&str> = of_mentions().chain(&HISTORY).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert!(of_mentions().all(|sentence| sentence.contains("{name}")));
        let telling = || TELLING.into_iter().flatten().chain(&HISTORY);
        assert!(telling().all(|sentence| sentence.matches("{words}").count() == 1));
        let silent = || SILENT.into_iter().flatten();
        assert!(silent().all(|sentence| !sentence.contains("{words}")));
    }

    #[test]
    fn the_mention_is_where_the_name_stands() {
        let (text, mention) = filled("So {words}: {name}, {name}.", "Vélo", &["é", "b", "c"]);
        assert_eq!(text, "So é, b and c: Vélo, Vélo.");
        assert_eq!(mention.start, 15);
        assert_eq!(mention.surface(&text).unwrap(), "Vélo");
    }
}
