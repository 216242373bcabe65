//! The lesson: eight cases, each to be predicted before its answer is shown.

/// A case.
#[derive(Debug, PartialEq, Eq)]
pub struct Case {
    /// What it is about.
    pub title: &'static str,
    /// The idea behind it.
    pub idea: &'static str,
    /// Title of the example that it shows.
    pub example: &'static str,
    /// What the class predicts.
    pub question: &'static str,
    /// What can be predicted.
    pub choices: &'static [&'static str],
    /// Position of the model's answer.
    pub answer: usize,
    /// What to look at, once it is answered.
    pub reveal: &'static str,
}

/// All cases, in their order.
pub const CASES: [Case; 8] = [
    Case {
        title: "One name, several meanings",
        idea: "Ambiguity: a name alone does not say who or what is meant. The knowledge base lists everything that bears it, the candidates.",
        example: "A cat, or a Cat?",
        question: "The sentence fits a pet, a digger and a command of Unix. Which one does the picture make of it?",
        choices: &[
            "The animal",
            "The digger of Caterpillar Inc.",
            "The command cat",
        ],
        answer: 0,
        reveal: "All three candidates have the name in common with the post, so “Name” does not tell them apart. “Picture” and “Objects” do.",
    },
    Case {
        title: "Two modalities",
        idea: "Text and picture complete each other: with the same words, another picture changes the answer.",
        example: "The same words, another picture",
        question: "“China. Isn't it beautiful?” came with a landscape before. Now it comes with a cup. What is meant?",
        choices: &["The country", "The tableware"],
        answer: 1,
        reveal: "Open “Why the first, and not the second?”: the cues of the picture outweigh those of the words, which slightly favour the country.",
    },
    Case {
        title: "Prototypes",
        idea: "An entity is known by posts about it. The most typical ones, its prototypes, stand for it.",
        example: "A queen on a board",
        question: "“My queen got pinned and I resigned five moves later.” Which word decides most?",
        choices: &["got", "resigned", "moves"],
        answer: 2,
        reveal: "“What in your post decided” leaves out one word after the other. Then open “What the model knows about it”: the posts closest to yours come first.",
    },
    Case {
        title: "PageRank",
        idea: "Posts that are alike support each other. PageRank over the graph of their similarities finds the central ones; off-topic posts end at the edge.",
        example: "A queen on stage",
        question: "Each candidate may keep a single post. Will the answer hold with the most central one?",
        choices: &["Yes, the band stays first", "No, another queen comes first"],
        answer: 0,
        reveal: "Open “What the model knows about it” and look at the graph. With the model loaded, set “At most” to 1 under “What if it knew less?”, with PageRank and without it.",
    },
    Case {
        title: "A missing modality",
        idea: "Many posts and many entities have no picture. What is missing must neither help nor hurt.",
        example: "Words alone",
        question: "The post has no picture. Of the programming language there are pictures, of the snake and the comedians none. Does that decide?",
        choices: &[
            "The language gains by its pictures",
            "It loses by them",
            "Neither: the words decide",
        ],
        answer: 2,
        reveal: "“Picture” and “Objects” say “not given”. A missing cue counts as an average one, and “reptile” decides.",
    },
    Case {
        title: "None of these",
        idea: "A knowledge base is never complete. A model that always answers is wrong whenever the right entity is not in it.",
        example: "None of these",
        question: "A jaguar is ordered at a bar. The knowledge base knows the cat and the car. What should it say?",
        choices: &["The cat", "The car", "None of these"],
        answer: 2,
        reveal: "The scores of both candidates are low, so that “None of these” is the likeliest. Then add the drink under “Somebody or something of your own”, and ask again.",
    },
    Case {
        title: "What a trained network adds",
        idea: "The paper trains a network on top. Here it is left out: on this knowledge base it gained nothing that could be measured.",
        example: "Not a bird",
        question: "“The eagle has landed, and my grandmother watched it on a neighbour's TV.” Without training on such posts, what comes first?",
        choices: &["The bird", "The moon lander", "The football team"],
        answer: 1,
        reveal: "Comparisons of texts and names suffice here, but the lead is small. The measurements with and without a network are in the repository, in docs/results/training-log.md.",
    },
    Case {
        title: "Where it fails",
        idea: "Cues are added up. Where one of them is sure and wrong, it outvotes the others.",
        example: "Where it fails: the picture wins",
        question: "The words are about a roast, the picture is a flag. What does the model answer?",
        choices: &["The bird", "The country"],
        answer: 1,
        reveal: "A person follows the words; the model follows the picture, with great confidence. Remove the picture, or switch “Pictures” off under “What if it knew less?”, and the bird comes first.",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_a_choice() {
        for case in &CASES {
            assert!(case.answer < case.choices.len(), "{case:?}");
        }
    }
}
