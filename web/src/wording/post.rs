//! The post: its text, its pictures, the button that links it, ready-made posts and the lesson.

/// The page's head.
pub mod page {
    pub const QUESTION_START: &str = "Which ";
    pub const QUESTION_NAME: &str = "jaguar";
    pub const QUESTION_END: &str = "?";
    pub const INTRODUCTION: &str = "One name, several meanings. Write a post, add a picture, and this page tells you who or what is meant.";

    pub fn other_site(bundle: &str) -> String {
        format!("{bundle} is on another site, so this page's own model is used.")
    }
}

/// The post's text and the names in it.
pub mod composer {
    pub const POST: &str = "Post";
    pub const SAMPLE: &str = "Saw a jaguar today!";
    pub const ASK_ALL: &str = "What does each of them mean?";
    pub const LINK_SELECTION: &str = "Link the selection";
    pub const NONE_KNOWN: &str = "none that is known";
    pub const WHO_IS: &str = "Who or what is";
    pub const MARKED_AS_YOU_TYPE: &str = "Names that have several meanings are marked as you type.";
    pub const MARKED_ONCE_LOADED: &str = "Names are marked once the model is loaded.";
    pub const NO_NAME_YET: &str = "No known name yet. You can also select words.";
}

/// The post's pictures.
pub mod pictures {
    pub const PICTURES: &str = "Pictures";
    pub const ADD_SEVERAL: &str = "Add pictures";
    pub const ADD: &str = "Add a picture";
    pub const DROP_OR_PASTE: &str = "or drop or paste it";
    pub const TAKE: &str = "Take a picture";
    pub const DROP_ANYWHERE: &str = "Drop the picture anywhere";
    pub const REMOVE: &str = "Remove";
    pub const NOT_A_PICTURE: &str = "This file is not a picture.";

    pub fn remove(name: &str) -> String {
        format!("Remove {name}")
    }

    pub fn too_large(megabytes: f64) -> String {
        format!("This picture is larger than {megabytes} MB.")
    }

    pub fn too_many(limit: usize) -> String {
        format!("A post has at most {limit} pictures.")
    }

    pub fn unreadable(error: &str) -> String {
        format!("The file cannot be read: {error}.")
    }
}

/// The button that links, the status, the download.
pub mod progress {
    pub const SHORTCUT: &str = "Ctrl + Enter";
    pub const DOWNLOAD_AND_ANSWER: &str = "Download and answer";
    pub const WHICH_ONE: &str = "Which one is meant?";
    pub const ONLY_DOWNLOAD: &str = "Only download the model";
    pub const PROMISE: &str = "Your text and pictures stay on this device.";
    pub const DOWNLOAD: &str = "Download of the model";
    pub const CANCEL: &str = "Cancel";
    pub const TRY_AGAIN: &str = "Try again";
    pub const USE_CPU: &str = "Use the CPU instead";

    pub const LOADING: &str = "Loading the model.";
    pub const PREPARING: &str = "Preparing the model on this device.";
    pub const READY: &str = "Ready.";
    pub const ONE_MOMENT: &str = "One moment.";
    pub const READING_TEXT: &str = "Reading the text.";
    pub const LOOKING: &str = "Looking at the picture.";
    pub const READING_BOTH: &str = "Reading text and picture together.";
    pub const COMPARING: &str = "Comparing.";
    pub const FAILED: &str = "That did not work.";
    pub const WRITE_FIRST: &str = "Write a post first, or take an example.";
    pub const SELECT_WORDS: &str =
        "No known name is in this text. Select the words you mean and press “Link the selection”.";

    pub const IS_KEPT: &str = "It is downloaded once and kept in this browser.";
    pub const IS_NOT_KEPT: &str =
        "Downloads cannot be kept here, so every visit downloads the model again.";

    pub fn which(surface: &str) -> String {
        format!("Which {surface}?")
    }

    pub fn loaded(loaded: &str, total: &str, share: &str) -> String {
        format!("{loaded} of {total}, {share}")
    }

    pub fn size(size: &str) -> String {
        format!("The model is {size}.")
    }

    pub fn prepared(size: Option<&str>) -> String {
        let size = size.map(|size| format!(" ({size})")).unwrap_or_default();
        format!("Answered in advance by this model. A post of your own needs the model here{size}.")
    }

    pub fn took(time: &str) -> String {
        format!("Answered in {time}.")
    }

    pub fn nothing_called(surface: &str) -> String {
        format!("Nothing known is called {surface}.")
    }

    pub fn means_none(surface: &str) -> String {
        format!("{surface} probably means none that is known.")
    }

    pub fn means(surface: &str, name: &str, description: &str, probability: &str) -> String {
        format!("{surface} most likely means {name}, {description} {probability}.")
    }
}

/// Ready-made posts.
pub mod examples {
    pub const TITLE: &str = "Or try one of these";
    pub const TAKE_LESSON: &str = "Take the lesson: eight cases to predict";

    pub fn lacks_picture(error: &str) -> String {
        format!("The example lacks its picture. {error}")
    }
}

/// What is around the cases of the lesson.
pub mod lesson {
    pub const SHOW_ANSWER: &str = "Show the answer";
    pub const BACK: &str = "Back";
    pub const NEXT: &str = "Next";
    pub const PRINT: &str = "Print the sheet";
    pub const END: &str = "End the lesson";
    pub const AS_PREDICTED: &str = " — as predicted";
    pub const ANSWER_OF_MODEL: &str = " — the model's answer";
    pub const PREDICTED: &str = " — predicted";
    pub const SHEET: &str = "Which jaguar? Predict, then look";
    pub const WHY: &str = "Why?";

    pub fn position(case: usize, total: usize) -> String {
        format!("Lesson, case {case} of {total}")
    }
}
