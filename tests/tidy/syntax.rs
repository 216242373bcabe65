//! Rust sources as syntax trees.

use proc_macro2::{TokenStream, TokenTree};
use syn::spanned::Spanned as _;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemUse, UseTree};

/// A path in a source file: `crate::a::B` has three parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    pub(crate) parts: Vec<String>,
    /// Number of inline modules around it.
    pub(crate) depth: usize,
}

/// A name that a `use` brings into its module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Import {
    /// `*` for all names of the path.
    pub(crate) name: String,
    pub(crate) path: Path,
}

/// What a source file declares and names, test code aside.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Modules in files of their own.
    pub(crate) modules: Vec<String>,
    /// Items of its own.
    pub(crate) items: Vec<String>,
    pub(crate) imports: Vec<Import>,
    /// Paths in code; of paths of one part those that name a type or are called.
    pub(crate) paths: Vec<Path>,
    /// Functions by name, with their documentation.
    pub(crate) functions: Vec<(String, String)>,
    /// Number of lines outside tests.
    pub(crate) lines: usize,
    depth: usize,
}

impl Source {
    /// Parses a file.
    ///
    /// # Panics
    ///
    /// If it is not Rust.
    pub(crate) fn parse(file: &str, text: &str) -> Self {
        let tree = syn::parse_file(text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut source = Self {
            lines: text.lines().count(),
            ..Self::default()
        };
        source.visit_file(&tree);
        source
    }

    fn path(&self, parts: Vec<String>) -> Path {
        let depth = self.depth;
        Path { parts, depth }
    }

    fn import(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: String| [before, &[name]].concat();
        let (name, parts) = match tree {
            UseTree::Path(path) => {
                return self.import(&path.tree, &with(path.ident.to_string()));
            }
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.import(tree, before);
                }
                return;
            }
            UseTree::Glob(_) => ("*".to_owned(), before.to_vec()),
            UseTree::Name(name) => (name.ident.to_string(), with(name.ident.to_string())),
            UseTree::Rename(name) => (name.rename.to_string(), with(name.ident.to_string())),
        };
        // `use a::b::{self}` is `use a::b`.
        let (name, parts) = match parts.split_last() {
            Some((last, rest)) if last == "self" && !rest.is_empty() => {
                let own = if name == "self" {
                    rest[rest.len() - 1].clone()
                } else {
                    name
                };
                (own, rest.to_vec())
            }
            _ => (name, parts),
        };
        let path = self.path(parts);
        self.imports.push(Import { name, path });
    }

    /// Adds the paths in a macro's tokens.
    fn tokens(&mut self, tokens: TokenStream) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let punctuation = |i: usize, sign: char| matches!(tokens.get(i), Some(TokenTree::Punct(found)) if found.as_char() == sign);
        let mut i = 0;
        while i < tokens.len() {
            let after = i.checked_sub(1);
            let is_start =
                after.is_none_or(|i| ![':', '.', '\''].iter().any(|&c| punctuation(i, c)));
            match &tokens[i] {
                TokenTree::Group(group) => self.tokens(group.stream()),
                TokenTree::Ident(first) if is_start => {
                    let mut parts = vec![first.to_string()];
                    while punctuation(i + 1, ':')
                        && punctuation(i + 2, ':')
                        && let Some(TokenTree::Ident(next)) = tokens.get(i + 3)
                    {
                        parts.push(next.to_string());
                        i += 3;
                    }
                    if parts.len() > 1 || is_type(&parts[0]) {
                        let path = self.path(parts);
                        self.paths.push(path);
                    }
                }
                _ => {}
            }
            i += 1;
        }
    }
}

impl<'a> Visit<'a> for Source {
    fn visit_item(&mut self, item: &'a Item) {
        if attributes(item).iter().any(is_cfg_test) {
            let span = item.span();
            self.lines -= span.end().line - span.start().line + 1;
            return;
        }
        if let Some(name) = name(item) {
            self.items.push(name);
        }
        match item {
            Item::Mod(module) if module.content.is_none() => {
                self.modules.push(module.ident.to_string());
            }
            Item::Mod(_) => {
                self.depth += 1;
                visit::visit_item(self, item);
                self.depth -= 1;
            }
            _ => visit::visit_item(self, item),
        }
    }

    fn visit_impl_item(&mut self, item: &'a ImplItem) {
        if let ImplItem::Fn(function) = item {
            if function.attrs.iter().any(is_cfg_test) {
                return;
            }
            self.functions.push((
                function.sig.ident.to_string(),
                documentation(&function.attrs),
            ));
        }
        visit::visit_impl_item(self, item);
    }

    fn visit_item_fn(&mut self, function: &'a syn::ItemFn) {
        self.functions.push((
            function.sig.ident.to_string(),
            documentation(&function.attrs),
        ));
        visit::visit_item_fn(self, function);
    }

    fn visit_trait_item_fn(&mut self, function: &'a syn::TraitItemFn) {
        self.functions.push((
            function.sig.ident.to_string(),
            documentation(&function.attrs),
        ));
        visit::visit_trait_item_fn(self, function);
    }

    fn visit_item_use(&mut self, item: &'a ItemUse) {
        self.import(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        let parts: Vec<String> = path
            .segments
            .iter()
            .map(|segment| segment.ident.to_string())
            .collect();
        if parts.len() > 1 || is_type(&parts[0]) {
            let path = self.path(parts);
            self.paths.push(path);
        }
        visit::visit_path(self, path);
    }

    fn visit_expr_call(&mut self, call: &'a syn::ExprCall) {
        if let syn::Expr::Path(function) = &*call.func
            && let Some(name) = function.path.get_ident()
        {
            let path = self.path(vec![name.to_string()]);
            self.paths.push(path);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_macro(&mut self, invocation: &'a syn::Macro) {
        self.tokens(invocation.tokens.clone());
    }
}

fn is_type(name: &str) -> bool {
    name.starts_with(char::is_uppercase)
}

fn is_cfg_test(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg")
        && attribute
            .parse_args::<syn::Ident>()
            .is_ok_and(|argument| argument == "test")
}

fn documentation(attributes: &[Attribute]) -> String {
    let mut lines = String::new();
    for attribute in attributes {
        if attribute.path().is_ident("doc")
            && let syn::Meta::NameValue(line) = &attribute.meta
            && let syn::Expr::Lit(line) = &line.value
            && let syn::Lit::Str(line) = &line.lit
        {
            lines.push_str(&line.value());
            lines.push('\n');
        }
    }
    lines
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

fn name(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Mod(item) => item.content.as_ref().map(|_| &item.ident)?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::Type(item) => &item.ident,
        _ => return None,
    };
    Some(name.to_string())
}
