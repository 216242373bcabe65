//! Templates of sentences. The parts share none.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use shared_model::data::Mention;

use crate::Part;

/// Templates with words of a gloss, by part.
const INFORMATIVE: [&[&str]; 3] = [
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

/// Templates that fit whatever the name means, by part.
const NEUTRAL: [&[&str]; 3] = [
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

/// Templates of timeline posts.
const TIMELINE: [&str; 16] = [
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

/// A sentence with the name and the words, and where the name is.
pub(super) fn informative(
    part: Part,
    name: &str,
    words: &[&str],
    rng: &mut StdRng,
) -> (String, Mention) {
    fill(pick(INFORMATIVE[part as usize], rng), name, words)
}

/// A sentence with the name that fits every sense, and where the name is.
pub(super) fn neutral(part: Part, name: &str, rng: &mut StdRng) -> (String, Mention) {
    fill(pick(NEUTRAL[part as usize], rng), name, &[])
}

/// A sentence with the words, for a timeline.
pub(super) fn timeline(words: &[&str], rng: &mut StdRng) -> String {
    pick(&TIMELINE, rng).replace("{words}", &listed(words))
}

fn pick(templates: &[&'static str], rng: &mut StdRng) -> &'static str {
    templates.choose(rng).expect("there are templates")
}

/// The template with its slots filled, and where the name first occurs.
fn fill(template: &str, name: &str, words: &[&str]) -> (String, Mention) {
    let with_words = template.replace("{words}", &listed(words));
    let before = with_words.split("{name}").next().unwrap_or_default();
    let start = before.chars().count();
    let mention = Mention {
        start,
        end: start + name.chars().count(),
    };
    (with_words.replace("{name}", name), mention)
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
    fn no_template_is_in_two_parts_and_all_have_their_slots() {
        let of_mentions = || INFORMATIVE.into_iter().chain(NEUTRAL).flatten();
        let all: Vec<&&str> = of_mentions().chain(&TIMELINE).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        assert!(of_mentions().all(|template| template.contains("{name}")));
        let with_words = || INFORMATIVE.into_iter().flatten().chain(&TIMELINE);
        assert!(with_words().all(|template| template.matches("{words}").count() == 1));
        let without = || NEUTRAL.into_iter().flatten();
        assert!(without().all(|template| !template.contains("{words}")));
    }

    #[test]
    fn the_mention_is_where_the_name_first_occurs() {
        let (text, mention) = fill("So {words}: {name}, {name}.", "Vélo", &["é", "b", "c"]);
        assert_eq!(text, "So é, b and c: Vélo, Vélo.");
        assert_eq!(mention.start, 15);
        assert_eq!(mention.surface(&text).unwrap(), "Vélo");
    }
}
