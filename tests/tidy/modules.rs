//! Circles among the modules of a crate.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use petgraph::algo::tarjan_scc;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::syntax::{Path, Source};

/// A module in a file of its own.
struct Module {
    /// As it is written in code, `crate::a::b`.
    name: String,
    parent: Option<usize>,
    children: BTreeMap<String, usize>,
    source: Source,
}

/// The modules below a crate's root, which is the first.
struct Modules(Vec<Module>);

/// The circles among the modules below `root`, each as a text of several lines.
///
/// A module is a file with all below it, so that a directory is one module for what is outside of it.
/// Inside each directory the same holds for its files and directories among themselves; its own file (`mod.rs`, `lib.rs`, `main.rs`) may use them, and they may use its items.
/// A re-exported item counts as its own module's. Test code does not count.
pub(crate) fn circles(root: &str, files: &[(String, String)]) -> Vec<String> {
    let files: HashMap<&str, &str> = files
        .iter()
        .map(|(file, text)| (file.as_str(), text.as_str()))
        .collect();
    let modules = Modules::read(root, &files);
    let references = modules.references();
    let directories = (0..modules.0.len()).filter(|&i| !modules.0[i].children.is_empty());
    directories
        .flat_map(|directory| modules.circles_in(directory, &references))
        .collect()
}

impl Modules {
    fn read(root: &str, files: &HashMap<&str, &str>) -> Self {
        let mut modules = Self(Vec::new());
        let folder = root.rsplit_once('/').map_or("", |(folder, _)| folder);
        modules.add("crate".to_owned(), None, root, folder, files);
        modules
    }

    /// Adds a module whose children are below `folder`; returns its position.
    fn add(
        &mut self,
        name: String,
        parent: Option<usize>,
        file: &str,
        folder: &str,
        files: &HashMap<&str, &str>,
    ) -> usize {
        let text = files.get(file).unwrap_or_else(|| panic!("no file {file}"));
        let source = Source::parse(file, text);
        let declared = source.modules.clone();
        let position = self.0.len();
        self.0.push(Module {
            name: name.clone(),
            parent,
            children: BTreeMap::new(),
            source,
        });
        for child in declared {
            let below = format!("{folder}/{child}");
            let file = [format!("{below}.rs"), format!("{below}/mod.rs")]
                .into_iter()
                .find(|file| files.contains_key(file.as_str()))
                .unwrap_or_else(|| panic!("{file}: no file for `mod {child}`"));
            let name = format!("{name}::{child}");
            let at = self.add(name, Some(position), &file, &below, files);
            self.0[position].children.insert(child, at);
        }
        position
    }

    /// Which module names which, with what it writes.
    fn references(&self) -> BTreeMap<(usize, usize), String> {
        let mut references = BTreeMap::new();
        for (from, module) in self.0.iter().enumerate() {
            let imports = module.source.imports.iter().map(|import| &import.path);
            for path in imports.chain(&module.source.paths) {
                if let Some(to) = self.resolve(from, path, 0) {
                    references
                        .entry((from, to))
                        .or_insert_with(|| path.parts.join("::"));
                }
            }
        }
        references
    }

    /// The module that holds what a path names; `None` if it is another crate's or no name of a module or item.
    fn resolve(&self, from: usize, path: &Path, steps: usize) -> Option<usize> {
        // A re-export of a re-export of itself.
        if steps > 32 {
            return None;
        }
        let mut parts = path.parts.iter().map(String::as_str).peekable();
        let mut depth = path.depth;
        let mut module = match *parts.peek()? {
            "crate" => {
                parts.next();
                0
            }
            "self" => {
                parts.next();
                from
            }
            "super" => {
                let mut module = from;
                while parts.next_if_eq(&"super").is_some() {
                    if depth > 0 {
                        depth -= 1;
                    } else {
                        module = self.0[module].parent?;
                    }
                }
                module
            }
            first => {
                parts.next();
                match self.member(from, first, steps + 1)? {
                    Member::Module(module) => module,
                    Member::Item(module) => return Some(module),
                }
            }
        };
        for part in parts {
            match self.member(module, part, steps + 1) {
                Some(Member::Module(next)) => module = next,
                Some(Member::Item(module)) => return Some(module),
                None => break,
            }
        }
        Some(module)
    }

    /// What a name means in a module.
    fn member(&self, module: usize, name: &str, steps: usize) -> Option<Member> {
        let Module {
            children, source, ..
        } = &self.0[module];
        if let Some(&child) = children.get(name) {
            return Some(Member::Module(child));
        }
        if source.items.iter().any(|item| item == name) {
            return Some(Member::Item(module));
        }
        for import in &source.imports {
            if import.name == name && import.path.parts != [name] {
                return self.imported(module, &import.path, steps);
            }
        }
        let globs = source.imports.iter().filter(|import| import.name == "*");
        globs
            .filter_map(|glob| self.resolve(module, &glob.path, steps + 1))
            .filter(|&other| other != module)
            .find_map(|other| self.member(other, name, steps + 1))
    }

    /// What an imported path means.
    fn imported(&self, module: usize, path: &Path, steps: usize) -> Option<Member> {
        let target = self.resolve(module, path, steps + 1)?;
        let last = path.parts.last()?;
        let is_module = self.0[target].name.rsplit("::").next() == Some(last);
        Some(if is_module {
            Member::Module(target)
        } else {
            Member::Item(target)
        })
    }

    /// The member of a directory that a module is or is in; `None` if it is elsewhere or the directory itself.
    fn member_of(&self, directory: usize, module: usize) -> Option<usize> {
        let mut parents = std::iter::successors(Some(module), |&module| self.0[module].parent);
        parents.find(|&parent| self.0[parent].parent == Some(directory))
    }

    fn circles_in(
        &self,
        directory: usize,
        references: &BTreeMap<(usize, usize), String>,
    ) -> Vec<String> {
        let mut edges: BTreeMap<(usize, usize), String> = BTreeMap::new();
        for (&(from, to), written) in references {
            let members = (
                self.member_of(directory, from),
                self.member_of(directory, to),
            );
            if let (Some(a), Some(b)) = members
                && a != b
            {
                let names = [from, to].map(|module| self.0[module].name.as_str());
                edges
                    .entry((a, b))
                    .or_insert_with(|| format!("{} -> {} ({written})", names[0], names[1]));
            }
        }
        let graph = DiGraph::<(), (), usize>::from_edges(edges.keys().copied());
        let circles = tarjan_scc(&graph)
            .into_iter()
            .filter(|circle| circle.len() > 1);
        circles
            .map(|circle| {
                let members: BTreeSet<usize> = circle.into_iter().map(NodeIndex::index).collect();
                let inside = edges
                    .iter()
                    .filter(|((a, b), _)| members.contains(a) && members.contains(b));
                let lines: Vec<String> = inside
                    .map(|(_, written)| format!("    {written}"))
                    .collect();
                let names: Vec<&str> = members.iter().map(|&i| self.0[i].name.as_str()).collect();
                format!("{}:\n{}", names.join(", "), lines.join("\n"))
            })
            .collect()
    }
}

/// What a name means: a module, or an item of a module.
enum Member {
    Module(usize),
    Item(usize),
}

#[cfg(test)]
mod tests {
    use super::circles;

    /// Asserts that the modules named make a circle, or that there is none; `files` are paths below the root's folder with their texts, `lib.rs` first.
    #[track_caller]
    fn check(files: &[(&str, &str)], expected: &[&str]) {
        let files: Vec<(String, String)> = files
            .iter()
            .map(|(file, text)| (format!("src/{file}"), (*text).to_owned()))
            .collect();
        let found = circles(&files[0].0, &files);
        let found: Vec<&str> = found
            .iter()
            .filter_map(|circle| circle.split(":\n").next())
            .collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn two_files_that_name_each_other_are_a_circle() {
        let root = ("lib.rs", "mod a; mod b; mod c;");
        for (a, b, c) in [
            (
                "use crate::b::B; struct A;",
                "use super::a::A; struct B;",
                "",
            ),
            (
                "use crate::{b::B, c}; struct A;",
                "use crate::a; struct B;",
                "",
            ),
            ("fn a() { crate::b::b() }", "fn b() { crate::a::a() }", ""),
            (
                "fn a() { use crate::b as x; x::b() }",
                "fn b() -> Vec<crate::a::A> {}",
                "",
            ),
            (
                "fn a() { println!(\"{}\", crate::b::B) }",
                "use super::a::*;",
                "",
            ),
            (
                "mod inner { use super::super::b::B; }",
                "use crate::a::inner;",
                "",
            ),
        ] {
            check(
                &[root, ("a.rs", a), ("b.rs", b), ("c.rs", c)],
                &["crate::a, crate::b"],
            );
        }
    }

    #[test]
    fn a_circle_may_have_three_members_and_a_reexport() {
        let root = (
            "lib.rs",
            "mod a; mod b; mod c; pub use c::C; pub use crate::b::{B as Bee};",
        );
        check(
            &[
                root,
                ("a.rs", "use crate::b::B;"),
                ("b.rs", "use crate::C; pub struct B;"),
                ("c.rs", "use super::a; pub struct C;"),
            ],
            &["crate::a, crate::b, crate::c"],
        );
        check(
            &[
                root,
                ("a.rs", ""),
                ("b.rs", "use crate::C; pub struct B;"),
                ("c.rs", "type X = crate::Bee; pub struct C;"),
            ],
            &["crate::b, crate::c"],
        );
        check(
            &[
                root,
                ("a/mod.rs", "mod x; pub use x::X;"),
                ("a/x.rs", "use crate::b; pub struct X;"),
                ("b.rs", "use crate::a::X; pub struct B;"),
                ("c.rs", "pub struct C;"),
            ],
            &["crate::a, crate::b"],
        );
    }

    #[test]
    fn files_of_a_directory_may_be_a_circle() {
        let root = ("lib.rs", "mod a;");
        check(
            &[
                root,
                ("a/mod.rs", "mod x; mod y;"),
                ("a/x.rs", "use super::y::Y;"),
                ("a/y.rs", "use crate::a::x; pub struct Y;"),
            ],
            &["crate::a::x, crate::a::y"],
        );
        check(
            &[
                root,
                ("a/mod.rs", "mod x; mod y; use self::{x::X, y::Y as Z};"),
                ("a/x.rs", "use super::Z; pub struct X;"),
                ("a/y.rs", "fn y() -> super::X {} pub struct Y;"),
            ],
            &["crate::a::x, crate::a::y"],
        );
        check(
            &[
                root,
                ("a/mod.rs", "mod b; mod c;"),
                ("a/b/mod.rs", "mod x; mod y; pub use x::*;"),
                ("a/b/x.rs", "use crate::a::c; pub struct X;"),
                ("a/b/y.rs", "use super::super::c::C;"),
                ("a/c.rs", "use super::b::X; pub struct C;"),
            ],
            &["crate::a::b, crate::a::c"],
        );
    }

    #[test]
    fn what_goes_one_way_is_no_circle() {
        check(
            &[
                ("lib.rs", "mod a; mod b; pub use a::A; use other::b;"),
                ("a.rs", "use crate::b::B; use other::a::X; pub struct A;"),
                (
                    "b.rs",
                    "pub struct B; #[cfg(test)] mod tests { use crate::a::A; }",
                ),
            ],
            &[],
        );
        check(
            &[
                ("main.rs", "mod a; fn main() { a::run() }"),
                (
                    "a/mod.rs",
                    "mod x; mod y; pub use y::run; pub struct A; fn a() -> x::X {}",
                ),
                ("a/x.rs", "use super::A; pub struct X;"),
                (
                    "a/y.rs",
                    "use super::x::X; pub fn run() { let x = std::x(); }",
                ),
            ],
            &[],
        );
    }
}
