//! The answer: candidates, cues, what decided, what if there were less.

/// The ranked candidates.
pub mod answer {
    pub const ANSWER: &str = "Answer";
    pub const IS_EARLIER: &str = "This is the answer to the post before your change.";

    pub const INVITATION: &str = "A cat or a car?";
    pub const ABOUT_NAMES: &str = "“Saw a jaguar today” says little. With a picture of a spotted cat, or of a car, the name has one meaning. The model compares your post with what it knows about everyone and everything of that name.";
    pub const FIRST_WRITE: &str = "Write a post with an ambiguous name.";
    pub const THEN_ADD_PICTURE: &str = "Add a picture if you have one.";
    pub const THEN_CHANGE: &str =
        "Change the words or the picture, and see how the answer changes.";

    pub const BY_NETWORK: &str = "Ranked by what text, pictures and names have in common, and by a network trained on all of these.";
    pub const BY_NETWORK_FOR_NEW: &str = "Ranked by what text, pictures and names have in common, and by a network that was not trained on all of these.";
    pub const BY_PROTOTYPES: &str = "Ranked by what text, pictures and names have in common.";
    pub const PICK_ANOTHER: &str = "Pick another name, or select other words of the text.";
    pub const NOT_CALIBRATED: &str =
        "These percentages only order the candidates: they are not calibrated.";

    pub const TIMES: &str = "Time of each step";
    pub const DECODE: &str = "Decode";
    pub const TEXT: &str = "Text";
    pub const PICTURE: &str = "Picture";
    pub const BOTH: &str = "Both";
    pub const COMPARE: &str = "Compare";

    pub fn nothing_called(surface: &str) -> String {
        format!("The knowledge base has nothing called “{surface}”.")
    }

    pub fn means_none(surface: &str) -> String {
        format!("“{surface}” is probably none of these")
    }

    pub fn means(surface: &str) -> String {
        format!("“{surface}” most likely means")
    }
}

/// The cues of a candidate, and why the first candidate is first.
pub mod cues {
    pub const WORDS: &str = "Words";
    pub const PICTURE: &str = "Picture";
    pub const OBJECTS: &str = "Objects";
    pub const NAME: &str = "Name";

    /// Label and explanation of a cue, in the order of [`Cues`](shared_model::data::Cues).
    pub const CUES: [(&str, &str); 9] = [
        (WORDS, "How close the post's text is to texts about it"),
        (
            "Context",
            "How close the post's text without the name is to texts about it",
        ),
        (
            "Context, trained",
            "How close the post's text without the name is to texts about it, by an encoder that was trained to compare them",
        ),
        (PICTURE, "How alike the pictures look"),
        (OBJECTS, "How alike the things shown in the pictures are"),
        (
            "Picture to words",
            "How well the things shown in the post's pictures fit texts about it",
        ),
        (
            "Words to picture",
            "How well the post's text fits the things shown in pictures of it",
        ),
        (NAME, "How alike the names are, and the words around them"),
        (
            "Network",
            "The judgement of the trained network, from text and pictures together",
        ),
    ];
    /// The same for what the cues of two candidates cannot be compared by.
    pub const EVIDENCE: (&str, &str) = (
        "Evidence",
        "What is allowed for what the two cannot be compared by, such as a missing picture",
    );

    pub const NOT_GIVEN: &str = "not given";
    pub const TOGETHER: &str = "Together";
    pub const THE_FIRST: &str = "the first";
    pub const THE_SECOND: &str = "the second";

    pub fn why(winner: &str, other: &str) -> String {
        format!("Why {winner}, and not {other}?")
    }

    pub fn caption(winner: &str, other: &str) -> String {
        format!(
            "What each comparison adds to the score of {winner}, less what it adds to that of {other}."
        )
    }
}

/// What in the post decided.
pub mod explanation {
    pub const TITLE: &str = "What in your post decided";
    pub const FIND: &str = "Find the words and regions that decided";
    pub const LEGEND_OF_ONE: &str = "Filled, and orange in a picture: without it, the score would be lower. Underlined, and blue: higher.";
    pub const YOUR_PICTURE: &str = "Your picture";

    pub fn legend_of_two(winner: &str, other: &str) -> String {
        format!(
            "Filled, and orange in a picture: without it, {winner} would be less far ahead of {other}. Underlined, and blue: it would be further ahead."
        )
    }

    pub fn leaving_out(done: usize) -> String {
        format!("Leaving out one word or region after the other: {done} so far.")
    }

    pub fn strongest_at(row: &str, column: &str) -> String {
        format!("Your picture. What mattered most is at its {row} {column}.")
    }

    pub fn word(surface: &str, effect: &str) -> String {
        format!("“{surface}” {effect}")
    }

    pub fn strongest_words(words: &str) -> String {
        format!("Words that mattered most: {words}.")
    }
}

/// What the model knows about a candidate.
pub mod known {
    pub const TITLE: &str = "What the model knows about it";
    pub const GRAPH_CAPTION: &str = "Its posts: lines join those that are alike, and the more central a post is by PageRank, the larger its circle.";

    pub fn picture_of(name: &str) -> String {
        format!("Picture of {name}")
    }

    pub fn graph(n_posts: usize, name: &str) -> String {
        format!("Similarity graph of {n_posts} posts about {name}")
    }

    pub fn rank(rank: &str) -> String {
        format!("PageRank {rank}")
    }

    pub fn similarity_and_rank(similarity: &str, rank: &str) -> String {
        format!("like yours {similarity} · {rank}")
    }
}

/// "None of these".
pub mod none {
    pub const PROBABILITY: &str = "None of these: ";
    pub const WHEN: &str = "When is “none of these” the answer?";
    pub const IT_IS: &str = "It is the answer ";
    pub const WHERE_LIKELIEST: &str = "where it is likelier than every candidate";

    pub fn from(threshold: &str) -> String {
        format!("from {threshold} on")
    }

    pub fn cost(found: &str, refused: &str) -> String {
        format!(
            "Of the posts that this was calibrated on, it finds {found} of those about something unknown, and refuses {refused} of the others."
        )
    }
}

/// The parts of a picture, row by row.
pub mod parts {
    use shared_model::cover::PARTS;

    pub const ROWS: [&str; PARTS] = ["top", "middle", "bottom"];
    pub const COLUMNS: [&str; PARTS] = ["left", "centre", "right"];
}

/// The same post with less to go by.
pub mod what_if {
    pub const TITLE: &str = "What if it knew less?";
    pub const OF_POST: &str = "Of your post";
    pub const TEXT: &str = "Text";
    pub const OF_CANDIDATES: &str = "Of the candidates";
    pub const TEXTS: &str = "Texts";
    pub const PICTURES: &str = "Pictures";
    pub const WITHOUT_PARTS: &str = "Without the parts of the pictures that you cover";
    pub const NETWORK: &str = "Trained network";
    pub const TAKES_PART: &str = "Takes part";
    pub const PROTOTYPES: &str = "Posts that stand for a candidate";
    pub const BY_PAGERANK: &str = "The most central ones (PageRank), not random ones";
    pub const USE_EVERYTHING: &str = "Use everything again";
    pub const SHARE: &str = "A link to this text and these settings";
    pub const WITHOUT_PICTURES: &str = " (without the pictures)";
    pub const LINK: &str = "Link";

    pub fn cover(row: &str, column: &str) -> String {
        format!("Cover the {row} {column}")
    }

    pub fn parts_of(name: &str) -> String {
        format!("Parts of {name}")
    }

    pub fn at_most(k: usize) -> String {
        format!("At most {k}")
    }
}
