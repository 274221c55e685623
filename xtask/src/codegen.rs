//! `codegen`: Rust from the ECR service model.
//!
//! Reads `crates/wire/model/ecr-2015-09-21.json` and writes three files to
//! `crates/wire/src/ecr/`: the typed shapes, the constraint tables of the
//! inputs, and the operations. The output depends on nothing but the model
//! (and rustfmt), and keeps the model's order, so that a change of the model
//! reads well in a diff.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};

const MODEL: &str = "crates/wire/model/ecr-2015-09-21.json";
const OUTPUT: &str = "crates/wire/src/ecr";

/// What to do with the generated text.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    /// Replace the checked-in files.
    Write,
    /// Compare with the checked-in files and fail when one differs.
    Check,
}

/// Runs the command.
pub(crate) fn run(mode: Mode) -> Result<(), String> {
    let root = workspace_root()?;
    let model = Model::read(&root.join(MODEL))?;
    let files = [
        ("shapes.rs", shapes_file(&model)?),
        ("schema.rs", schema_file(&model)?),
        ("operations.rs", operations_file(&model)?),
    ];
    let mut stale = Vec::new();
    for (name, source) in files {
        let formatted = rustfmt(&root, &source)?;
        let path = root.join(OUTPUT).join(name);
        match mode {
            Mode::Write => write(&path, &formatted)?,
            Mode::Check => {
                if std::fs::read_to_string(&path).ok().as_deref() != Some(formatted.as_str()) {
                    stale.push(format!("{OUTPUT}/{name}"));
                }
            }
        }
    }
    if stale.is_empty() {
        return Ok(());
    }
    Err(format!(
        "generated code differs from {MODEL}: {}; run `cargo xtask codegen` and commit the result",
        stale.join(", ")
    ))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))
}

fn workspace_root() -> Result<PathBuf, String> {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .ok_or_else(|| "the xtask package has no parent directory".to_owned())
}

/// Formats through the rustfmt of the toolchain, so that `cargo fmt --check`
/// and `codegen --check` never disagree.
fn rustfmt(root: &Path, source: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("cannot run rustfmt: {error}");
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--emit", "stdout"])
        .current_dir(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    // rustfmt reads all of its input before it writes: no deadlock, and the
    // handle is dropped at the end of this statement.
    if let Some(mut input) = child.stdin.take() {
        input.write_all(source.as_bytes()).map_err(failed)?;
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        return Err("rustfmt refused the generated source".to_owned());
    }
    String::from_utf8(output.stdout).map_err(|_| "rustfmt wrote invalid UTF-8".to_owned())
}

// ---------------------------------------------------------------------------
// The model

/// A JSON object in the order of the file.
struct Ordered<T>(Vec<(String, T)>);

impl<T> Default for Ordered<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Ordered<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
            type Value = Ordered<T>;
            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Ordered(entries))
            }
        }
        deserializer.deserialize_map(Entries(PhantomData))
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ModelFile {
    service: String,
    signing_name: String,
    operations: Ordered<Operation>,
    shapes: BTreeMap<String, Shape>,
}

#[derive(Deserialize)]
struct Operation {
    input: String,
    output: String,
    errors: Vec<String>,
}

#[derive(Deserialize)]
struct Bounds {
    min: Option<i64>,
    max: Option<i64>,
}

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Shape {
    Structure {
        #[serde(default)]
        required: Vec<String>,
        members: Ordered<String>,
        #[serde(default)]
        fault: bool,
    },
    List {
        member: String,
        #[serde(flatten)]
        bounds: Bounds,
    },
    Map {
        key: String,
        value: String,
    },
    String {
        #[serde(rename = "enum", default)]
        values: Vec<String>,
        pattern: Option<String>,
        #[serde(flatten)]
        bounds: Bounds,
    },
    Integer(Bounds),
    Long(Bounds),
    Blob(Bounds),
    Double,
    Boolean,
    Timestamp,
}

struct Model {
    file: ModelFile,
}

impl Model {
    fn read(path: &Path) -> Result<Self, String> {
        let text = std::fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
        let file =
            serde_json::from_str(&text).map_err(|error| format!("cannot understand {}: {error}", path.display()))?;
        Ok(Self { file })
    }

    fn operations(&self) -> &[(String, Operation)] {
        &self.file.operations.0
    }

    fn shape(&self, name: &str) -> Result<&Shape, String> {
        self.file.shapes.get(name).ok_or_else(|| format!("the model names shape {name} but does not define it"))
    }

    /// The shapes reachable from `roots`, by name.
    fn reachable<'a>(&'a self, roots: impl Iterator<Item = &'a str>) -> Result<BTreeSet<&'a str>, String> {
        let mut seen = BTreeSet::new();
        let mut pending: Vec<&str> = roots.collect();
        while let Some(name) = pending.pop() {
            if !seen.insert(name) {
                continue;
            }
            match self.shape(name)? {
                Shape::Structure { members, .. } => {
                    pending.extend(members.0.iter().map(|(_, shape)| shape.as_str()));
                }
                Shape::List { member, .. } => pending.push(member),
                Shape::Map { key, value } => pending.extend([key.as_str(), value.as_str()]),
                _ => {}
            }
        }
        Ok(seen)
    }

    /// The Rust type of a shape.
    fn rust_type(&self, name: &str) -> Result<String, String> {
        Ok(match self.shape(name)? {
            Shape::List { member, .. } => format!("Vec<{}>", self.rust_type(member)?),
            Shape::Map { key, value } => format!("BTreeMap<{}, {}>", self.rust_type(key)?, self.rust_type(value)?),
            Shape::String { values, .. } if values.is_empty() => "String".to_owned(),
            Shape::Structure { .. } | Shape::String { .. } => name.to_owned(),
            Shape::Integer(_) => "i32".to_owned(),
            Shape::Long(_) => "i64".to_owned(),
            Shape::Blob(_) => "Blob".to_owned(),
            Shape::Double => "f64".to_owned(),
            Shape::Boolean => "bool".to_owned(),
            Shape::Timestamp => "Timestamp".to_owned(),
        })
    }

    /// Whether the Rust type of a shape has a default. An enumeration has
    /// none: picking a value would invent a fact.
    fn has_default(&self, name: &str) -> Result<bool, String> {
        Ok(match self.shape(name)? {
            Shape::String { values, .. } => values.is_empty(),
            Shape::Structure { required, members, .. } => {
                for (member, shape) in &members.0 {
                    if required.contains(member) && !self.has_default(shape)? {
                        return Ok(false);
                    }
                }
                true
            }
            _ => true,
        })
    }
}

// ---------------------------------------------------------------------------
// The three files

const HEADER: &str = "\
// @generated by `cargo xtask codegen` from crates/wire/model/ecr-2015-09-21.json.
// Do not edit: change the model or the generator.

";

/// Writing to a `String` cannot fail; this keeps the generators free of
/// meaningless error handling.
macro_rules! emit {
    ($out:expr, $($argument:tt)*) => {{
        let _ = writeln!($out, $($argument)*);
    }};
}

fn shapes_file(model: &Model) -> Result<String, String> {
    let mut roles: BTreeMap<&str, String> = BTreeMap::new();
    for (name, operation) in model.operations() {
        roles.insert(&operation.input, format!("Input of `{name}`."));
        roles.insert(&operation.output, format!("Output of `{name}`."));
    }
    let names = model.reachable(roles.keys().copied())?;

    let mut out = HEADER.to_owned();
    emit!(out, "//! The structures and enumerations of the API, as typed Rust.");
    emit!(out, "//!");
    emit!(out, "//! Members have their exact names on the wire; required members are");
    emit!(out, "//! plain, others an `Option` that is left out when it is `None`.");
    emit!(out, "//! Nothing here checks a constraint: that is `super::check`.\n");
    emit!(out, "use std::collections::BTreeMap;\n");
    emit!(out, "use serde::{{Deserialize, Serialize}};\n");
    emit!(out, "use super::scalars::{{Blob, Timestamp}};\n");

    for name in names {
        match model.shape(name)? {
            Shape::String { values, .. } if !values.is_empty() => {
                emit_enum(
                    &mut out,
                    name,
                    &format!("The `{name}` enumeration."),
                    values.iter().map(|value| (pascal_case(value), value.as_str())),
                );
            }
            Shape::Structure { required, members, .. } => {
                let role = roles.get(name).cloned().unwrap_or_else(|| format!("The `{name}` structure."));
                let default = if model.has_default(name)? { "Default, " } else { "" };
                emit!(out, "/// {role}");
                emit!(out, "#[derive(Debug, Clone, {default}PartialEq, Serialize, Deserialize)]");
                emit!(out, "#[serde(rename_all = \"camelCase\")]");
                emit!(out, "pub struct {name} {{");
                for (member, shape) in &members.0 {
                    emit_field(&mut out, model, member, shape, required.contains(member))?;
                }
                emit!(out, "}}\n");
            }
            _ => {}
        }
    }
    Ok(out)
}

fn emit_field(out: &mut String, model: &Model, member: &str, shape: &str, required: bool) -> Result<(), String> {
    let field = snake_case(member);
    let rust_type = model.rust_type(shape)?;
    emit!(out, "/// `{member}`, a `{shape}`.");
    if camel_case(&field) != member {
        emit!(out, "#[serde(rename = \"{member}\")]");
    }
    let field = if field == "type" { "r#type" } else { &field };
    if required {
        emit!(out, "pub {field}: {rust_type},");
    } else {
        emit!(out, "#[serde(skip_serializing_if = \"Option::is_none\")]");
        emit!(out, "pub {field}: Option<{rust_type}>,");
    }
    Ok(())
}

fn emit_enum<'a>(out: &mut String, name: &str, doc: &str, values: impl Iterator<Item = (String, &'a str)>) {
    emit!(out, "string_enum! {{");
    emit!(out, "    /// {doc}");
    emit!(out, "    {name} {{");
    for (variant, value) in values {
        emit!(out, "        {variant} = {value:?},");
    }
    emit!(out, "    }}\n}}\n");
}

fn schema_file(model: &Model) -> Result<String, String> {
    let names = model.reachable(model.operations().iter().map(|(_, o)| o.input.as_str()))?;
    let mut out = HEADER.to_owned();
    emit!(out, "//! The constraints of every input shape, as static tables.");
    emit!(out, "//!");
    emit!(out, "//! The values of an enumeration stand in the order of the service's messages.");
    emit!(out, "//! The tables refer to each other without cycles, so that a walk along");
    emit!(out, "//! them ends; `super::check` relies on it.\n");
    emit!(out, "use super::check::{{Bounds, Kind, Member, Pattern, Shape}};\n");
    for name in names {
        let kind = match model.shape(name)? {
            Shape::Structure { required, members, .. } => {
                let mut text = "Kind::Structure { members: &[".to_owned();
                for (member, shape) in &members.0 {
                    let constructor = if required.contains(member) { "required" } else { "optional" };
                    let shape = constant_case(shape);
                    emit!(text, "Member::{constructor}({member:?}, &{shape}),");
                }
                text + "] }"
            }
            Shape::List { member, bounds } => {
                format!("Kind::List {{ member: &{}, length: {} }}", constant_case(member), bounds_text(bounds))
            }
            Shape::Map { key, value } => {
                format!("Kind::Map {{ key: &{}, value: &{} }}", constant_case(key), constant_case(value))
            }
            Shape::String { values, pattern, bounds } => {
                let pattern = pattern.as_deref().map_or_else(
                    || "None".to_owned(),
                    |source| format!("Some(Pattern::new({}))", string_literal(source)),
                );
                format!(
                    "Kind::String {{ length: {}, pattern: {pattern}, values: &{:?} }}",
                    bounds_text(bounds),
                    message_order(values)
                )
            }
            Shape::Integer(bounds) => format!("Kind::Integer {{ range: {} }}", bounds_text(bounds)),
            Shape::Long(bounds) => format!("Kind::Long {{ range: {} }}", bounds_text(bounds)),
            Shape::Blob(bounds) => format!("Kind::Blob {{ length: {} }}", bounds_text(bounds)),
            Shape::Double => "Kind::Double".to_owned(),
            Shape::Boolean => "Kind::Boolean".to_owned(),
            Shape::Timestamp => "Kind::Timestamp".to_owned(),
        };
        emit!(out, "/// Constraints of `{name}`.");
        emit!(out, "pub static {}: Shape = Shape {{ name: {name:?}, kind: {kind} }};\n", constant_case(name));
    }
    Ok(out)
}

fn bounds_text(bounds: &Bounds) -> String {
    match (bounds.min, bounds.max) {
        (None, None) => "Bounds::NONE".to_owned(),
        (Some(min), None) => format!("Bounds::at_least({})", number_literal(min)),
        (None, Some(max)) => format!("Bounds::at_most({})", number_literal(max)),
        (Some(min), Some(max)) => {
            format!("Bounds::between({}, {})", number_literal(min), number_literal(max))
        }
    }
}

/// The order in which the service lists the values of an enumeration in its
/// messages: that of a Java `HashSet`, as a captured message shows
/// (`[IMMUTABLE, MUTABLE, MUTABLE_WITH_EXCLUSION, IMMUTABLE_WITH_EXCLUSION]`).
/// Values of one bucket stay in the order of the model.
fn message_order(values: &[String]) -> Vec<&str> {
    let buckets = (values.len() * 4 / 3 + 1).next_power_of_two().max(16);
    let bucket = |value: &str| {
        let hash = value.bytes().fold(0_u32, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte.into()));
        (hash ^ (hash >> 16)) as usize % buckets
    };
    let mut ordered: Vec<&str> = values.iter().map(String::as_str).collect();
    ordered.sort_by_key(|value| bucket(value));
    ordered
}

fn operations_file(model: &Model) -> Result<String, String> {
    let mut errors: BTreeSet<&str> = BTreeSet::new();
    for (_, operation) in model.operations() {
        errors.extend(operation.errors.iter().map(String::as_str));
    }

    let mut out = HEADER.to_owned();
    emit!(out, "//! The operations of the API and the errors they declare.\n");
    emit!(out, "use super::check::Shape;");
    emit!(out, "use super::schema;\n");
    emit!(out, "/// What stands before the dot in `X-Amz-Target`.");
    emit!(out, "pub const TARGET_PREFIX: &str = {:?};\n", model.file.service);
    emit!(out, "/// The service name in a credential scope.");
    emit!(out, "pub const SIGNING_NAME: &str = {:?};\n", model.file.signing_name);

    emit_enum(
        &mut out,
        "OperationName",
        "An operation, by its name in `X-Amz-Target`.",
        model.operations().iter().map(|(name, _)| (name.clone(), name.as_str())),
    );
    emit_enum(
        &mut out,
        "ErrorName",
        "An error that an operation declares, by its `__type` on the wire.",
        errors.iter().map(|name| (error_variant(name), *name)),
    );

    emit!(out, "impl OperationName {{");
    emit!(out, "/// The constraints of the operation's input.");
    emit!(out, "#[must_use]\npub fn input_schema(self) -> &'static Shape {{ match self {{");
    for (name, operation) in model.operations() {
        emit!(out, "Self::{name} => &schema::{},", constant_case(&operation.input));
    }
    emit!(out, "}} }}\n");
    emit!(out, "/// The errors that the model lists for the operation.");
    emit!(
        out,
        "#[must_use]\n#[expect(clippy::too_many_lines, reason = \"a table\")]\npub fn declared_errors(self) -> &'static [ErrorName] {{ match self {{"
    );
    // Operations with the same list share an arm.
    let mut arms: Vec<(&[String], Vec<&str>)> = Vec::new();
    for (name, operation) in model.operations() {
        match arms.iter_mut().find(|(errors, _)| *errors == operation.errors) {
            Some((_, names)) => names.push(name),
            None => arms.push((&operation.errors, vec![name])),
        }
    }
    for (errors, names) in arms {
        let names: Vec<String> = names.iter().map(|name| format!("Self::{name}")).collect();
        let errors: Vec<String> = errors.iter().map(|name| format!("ErrorName::{}", error_variant(name))).collect();
        emit!(out, "{} => &[{}],", names.join(" | "), errors.join(", "));
    }
    emit!(out, "}} }}\n}}\n");

    let mut faults = Vec::new();
    for name in errors {
        if matches!(model.shape(name)?, Shape::Structure { fault: true, .. }) {
            faults.push(format!("Self::{}", error_variant(name)));
        }
    }
    emit!(out, "impl ErrorName {{");
    emit!(out, "/// Whether the fault is the server's (HTTP 500) rather than the caller's (HTTP 400).");
    emit!(out, "#[must_use]\npub const fn is_server_fault(self) -> bool {{");
    emit!(out, "matches!(self, {}) }}\n}}", faults.join(" | "));
    Ok(out)
}

// ---------------------------------------------------------------------------
// Names

/// `RepositoryNotFoundException` as a variant: the suffix says nothing in an
/// enumeration of errors.
fn error_variant(name: &str) -> String {
    name.strip_suffix("Exception").unwrap_or(name).to_owned()
}

/// Splits a name into its words: at `_` and `-`, before a capital that follows
/// a small letter or digit, and before the last capital of a run
/// (`RCTAppliedFor` is `RCT`, `Applied`, `For`).
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut previous: Option<char> = None;
    let mut rest = name.chars().peekable();
    while let Some(current) = rest.next() {
        let separator = matches!(current, '_' | '-');
        let follows_small = current.is_ascii_uppercase() && previous.is_some_and(|c| !c.is_ascii_uppercase());
        let ends_run = current.is_ascii_uppercase()
            && previous.is_some_and(|c| c.is_ascii_uppercase())
            && rest.peek().is_some_and(char::is_ascii_lowercase);
        if separator || follows_small || ends_run {
            words.push(String::new());
        }
        if !separator && let Some(word) = words.last_mut() {
            word.push(current);
        }
        previous = Some(current);
    }
    words.retain(|word| !word.is_empty());
    words
}

fn capitalized(word: &str) -> String {
    let mut characters = word.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_ascii_uppercase().to_string() + &characters.as_str().to_ascii_lowercase()
    })
}

fn pascal_case(name: &str) -> String {
    words(name).iter().map(|word| capitalized(word)).collect()
}

fn snake_case(name: &str) -> String {
    words(name).join("_").to_ascii_lowercase()
}

fn constant_case(name: &str) -> String {
    words(name).join("_").to_ascii_uppercase()
}

/// What serde's `rename_all = "camelCase"` makes of a field name.
fn camel_case(field: &str) -> String {
    let mut text = String::new();
    for (position, word) in field.split('_').enumerate() {
        text += &if position == 0 { word.to_owned() } else { capitalized(word) };
    }
    text
}

/// A Rust literal of `number`, in groups of three digits.
fn number_literal(number: i64) -> String {
    let mut text = String::new();
    let digits = number.unsigned_abs().to_string();
    for (position, digit) in digits.chars().enumerate() {
        if position > 0 && (digits.len() - position).is_multiple_of(3) {
            text.push('_');
        }
        text.push(digit);
    }
    if number < 0 { format!("-{text}") } else { text }
}

/// A Rust literal of `text`, raw when that reads better.
fn string_literal(text: &str) -> String {
    if text.contains('\\') && !text.contains('"') { format!("r\"{text}\"") } else { format!("{text:?}") }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic is how a test fails")]
mod tests {
    use super::*;

    #[test]
    fn names_are_split_into_words() {
        for (name, snake, pascal) in [
            ("repositoryName", "repository_name", "RepositoryName"),
            ("Key", "key", "Key"),
            ("RCTAppliedFor", "rct_applied_for", "RctAppliedFor"),
            ("IMMUTABLE_WITH_EXCLUSION", "immutable_with_exclusion", "ImmutableWithExclusion"),
            ("AES256", "aes256", "Aes256"),
            ("github-container-registry", "github_container_registry", "GithubContainerRegistry"),
            ("k8s", "k8s", "K8s"),
        ] {
            assert_eq!(snake_case(name), snake);
            assert_eq!(pascal_case(name), pascal);
        }
    }

    #[test]
    fn camel_case_undoes_snake_case_for_plain_names() {
        assert_eq!(camel_case(&snake_case("imageSizeInBytes")), "imageSizeInBytes");
        assert_ne!(camel_case(&snake_case("Key")), "Key");
    }

    #[test]
    fn long_numbers_are_grouped() {
        assert_eq!([0, -1000, 20_971_520].map(number_literal), ["0", "-1_000", "20_971_520"]);
    }

    #[test]
    fn enumerations_are_listed_as_the_service_does() {
        let values = ["MUTABLE", "IMMUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE_WITH_EXCLUSION"].map(str::to_owned);
        assert_eq!(
            message_order(&values),
            ["IMMUTABLE", "MUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION"]
        );
    }

    #[test]
    fn checked_in_files_are_current() {
        run(Mode::Check).unwrap();
    }
}
