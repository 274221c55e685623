//! Policy documents: parsed, and held against every rule for policies.

use std::collections::BTreeMap;

use ironwharf_model::error::quoted;
use ironwharf_model::strict_json;
use serde_json::Value;

use super::Malformed;
use super::limits::{MAX_CHARACTERS, MAX_RULES, MAX_WILDCARDS, MIN_ARCHIVED_DAYS, MIN_CHARACTERS};
use super::reader::Object;
use super::rule::{Action, Count, Rule, StorageClass, TagSelection};

/// A lifecycle policy: its rules, the lowest priority number first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    rules: Vec<Rule>,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// [`Malformed`] with the first thing that is wrong.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let characters = text.chars().count();
        if !(MIN_CHARACTERS..=MAX_CHARACTERS).contains(&characters) {
            return Err(Malformed::new(format!(
                "the policy has {characters} characters; it must have {MIN_CHARACTERS} to {MAX_CHARACTERS}"
            )));
        }
        let document = strict_json::parse(text.as_bytes()).map_err(|error| Malformed::new(error.to_string()))?;
        let document = Object::new(&document, String::new(), &["rules"])?;
        let listed = document.list("rules")?;
        if listed.is_empty() || listed.len() > MAX_RULES {
            return Err(Malformed::new(format!("rules has {} rules; a policy has 1 to {MAX_RULES}", listed.len())));
        }
        let rules = listed.iter().enumerate().map(|(index, value)| rule(value, format!("rules[{index}]")));
        let mut rules = rules.collect::<Result<Vec<Rule>, Malformed>>()?;
        unique_priorities(&rules)?;
        for class in [StorageClass::Standard, StorageClass::Archive] {
            check_class(&rules, class)?;
        }
        rules.sort_unstable_by_key(|rule| rule.priority);
        Ok(Self { rules })
    }

    /// The rules, the lowest priority number first.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// The rule of a priority.
    #[must_use]
    pub fn rule(&self, priority: u32) -> Option<&Rule> {
        self.rules.iter().find(|rule| rule.priority == priority)
    }
}

fn rule(value: &Value, path: String) -> Result<Rule, Malformed> {
    let rule = Object::new(value, path, &["rulePriority", "description", "selection", "action"])?;
    let priority = rule.number("rulePriority")?;
    let description = rule.optional_text("description")?.map(str::to_owned);
    let known =
        ["tagStatus", "tagPatternList", "tagPrefixList", "storageClass", "countType", "countUnit", "countNumber"];
    let selection = rule.object("selection", &known)?;
    let tags = tags(&selection)?;
    let count = count(&selection)?;
    let storage_class = storage_class(&selection, count)?;
    let action = action(&rule.object("action", &["type", "targetStorageClass"])?, count)?;
    Ok(Rule { priority, description, storage_class, tags, count, action })
}

/// The value of an enumeration: `wanted` names what it can be.
fn one_of<T: Copy>(object: &Object<'_>, member: &str, wanted: &[(&str, T)]) -> Result<T, Malformed> {
    let text = object.text(member)?;
    let found = wanted.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names: Vec<String> = wanted.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        let (place, names) = (object.place(member), names.join(", "));
        Malformed::new(format!("{place} is \"{}\"; it must be one of {names}", quoted(text)))
    })
}

fn refuse_member(object: &Object<'_>, member: &str, because: &str) -> Result<(), Malformed> {
    match object.optional(member) {
        None => Ok(()),
        Some(_) => Err(Malformed::new(format!("{} must not be given {because}", object.place(member)))),
    }
}

fn tags(selection: &Object<'_>) -> Result<TagSelection, Malformed> {
    let status = one_of(selection, "tagStatus", &[("tagged", None), ("untagged", Some(false)), ("any", Some(true))])?;
    if let Some(any) = status {
        let because = if any { "with tagStatus \"any\"" } else { "with tagStatus \"untagged\"" };
        refuse_member(selection, "tagPatternList", because)?;
        refuse_member(selection, "tagPrefixList", because)?;
        return Ok(if any { TagSelection::Any } else { TagSelection::Untagged });
    }
    let patterns = selection.optional_texts("tagPatternList")?;
    let prefixes = selection.optional_texts("tagPrefixList")?;
    match (patterns, prefixes) {
        (Some(patterns), None) => {
            let crowded = |pattern: &&String| pattern.matches('*').count() > MAX_WILDCARDS;
            if let Some(pattern) = patterns.iter().find(crowded) {
                let place = selection.place("tagPatternList");
                let pattern = quoted(pattern);
                return Err(Malformed::new(format!(
                    "{place} has \"{pattern}\"; a pattern may have at most {MAX_WILDCARDS} wildcards (*)"
                )));
            }
            Ok(TagSelection::Patterns(patterns))
        }
        (None, Some(prefixes)) => Ok(TagSelection::Prefixes(prefixes)),
        (given, _) => {
            let what = if given.is_some() { "has both" } else { "has neither" };
            let place = selection.place("tagStatus");
            Err(Malformed::new(format!(
                "{place} is \"tagged\", which needs exactly one of tagPatternList and tagPrefixList; the rule {what}"
            )))
        }
    }
}

fn count(selection: &Object<'_>) -> Result<Count, Malformed> {
    // Of each kind, one that stands for it.
    let kinds = [
        ("imageCountMoreThan", Count::ImagesMoreThan(0)),
        ("sinceImagePushed", Count::DaysSincePushed(0)),
        ("sinceImagePulled", Count::DaysSincePulled(0)),
        ("sinceImageTransitioned", Count::DaysSinceTransitioned(0)),
    ];
    let kind = one_of(selection, "countType", &kinds)?;
    let number = selection.number("countNumber")?;
    let count = match kind {
        Count::ImagesMoreThan(_) => Count::ImagesMoreThan(number),
        Count::DaysSincePushed(_) => Count::DaysSincePushed(number),
        Count::DaysSincePulled(_) => Count::DaysSincePulled(number),
        Count::DaysSinceTransitioned(_) => Count::DaysSinceTransitioned(number),
    };
    if matches!(count, Count::ImagesMoreThan(_)) {
        refuse_member(selection, "countUnit", "with countType \"imageCountMoreThan\"")?;
    } else {
        one_of(selection, "countUnit", &[("days", ())])?;
    }
    Ok(count)
}

fn storage_class(selection: &Object<'_>, count: Count) -> Result<StorageClass, Malformed> {
    let place = || selection.place("storageClass");
    let classes = [StorageClass::Standard, StorageClass::Archive].map(|class| (class.as_str(), class));
    let given = selection.optional("storageClass").map(|_| one_of(selection, "storageClass", &classes));
    let class = given.transpose()?.unwrap_or(StorageClass::Standard);
    match (class, count) {
        (StorageClass::Standard, Count::DaysSinceTransitioned(_)) => {
            Err(Malformed::new(format!("{} must be \"archive\" with countType \"sinceImageTransitioned\"", place())))
        }
        (StorageClass::Archive, Count::DaysSinceTransitioned(days)) if days < MIN_ARCHIVED_DAYS => {
            let place = selection.place("countNumber");
            Err(Malformed::new(format!(
                "{place} is {days}; with countType \"sinceImageTransitioned\" it must be at least {MIN_ARCHIVED_DAYS}"
            )))
        }
        (StorageClass::Standard, _) | (StorageClass::Archive, Count::DaysSinceTransitioned(_)) => Ok(class),
        (StorageClass::Archive, _) => Err(Malformed::new(format!(
            "{} may be \"archive\" only with countType \"sinceImageTransitioned\"",
            place()
        ))),
    }
}

fn action(action: &Object<'_>, count: Count) -> Result<Action, Malformed> {
    let kind = one_of(action, "type", &[("expire", Action::Expire), ("transition", Action::Archive)])?;
    let place = action.place("type");
    match kind {
        Action::Expire => {
            refuse_member(action, "targetStorageClass", "with type \"expire\"")?;
            if matches!(count, Count::DaysSincePulled(_)) {
                let reason = format!("{place} must be \"transition\" with countType \"sinceImagePulled\"");
                return Err(Malformed::new(reason));
            }
        }
        Action::Archive => {
            one_of(action, "targetStorageClass", &[("archive", ())])?;
            if matches!(count, Count::DaysSinceTransitioned(_)) {
                let reason = format!("{place} must be \"expire\" with countType \"sinceImageTransitioned\"");
                return Err(Malformed::new(reason));
            }
        }
    }
    Ok(kind)
}

fn unique_priorities(rules: &[Rule]) -> Result<(), Malformed> {
    let mut seen = BTreeMap::new();
    for (index, rule) in rules.iter().enumerate() {
        if let Some(first) = seen.insert(rule.priority, index) {
            let priority = rule.priority;
            return Err(Malformed::new(format!(
                "rules[{index}].rulePriority is {priority}, which rules[{first}] has; each rule must have its own"
            )));
        }
    }
    Ok(())
}

/// What the rules for images of one storage class must be together.
fn check_class(rules: &[Rule], class: StorageClass) -> Result<(), Malformed> {
    let of_class = || rules.iter().enumerate().filter(|(_, rule)| rule.storage_class == class);
    let name = class.as_str();
    let (mut prefixes, mut untagged) = (BTreeMap::new(), None);
    for (index, rule) in of_class() {
        match &rule.tags {
            TagSelection::Any => {
                let later = of_class().find(|(other, later)| *other != index && later.priority > rule.priority);
                if let Some((other, _)) = later {
                    return Err(Malformed::new(format!(
                        "rules[{index}] has tagStatus \"any\", so its rulePriority must be the largest for storage \
                         class \"{name}\"; that of rules[{other}] is larger"
                    )));
                }
            }
            TagSelection::Untagged => {
                if let Some(first) = untagged.replace(index) {
                    return Err(Malformed::new(format!(
                        "rules[{first}] and rules[{index}] both have tagStatus \"untagged\"; only one rule may select \
                         untagged images of storage class \"{name}\""
                    )));
                }
            }
            TagSelection::Prefixes(listed) => {
                for prefix in listed {
                    if let Some(first) = prefixes.insert(prefix, index) {
                        let prefix = quoted(prefix);
                        return Err(Malformed::new(format!(
                            "rules[{index}].selection.tagPrefixList has \"{prefix}\", which rules[{first}] has already; \
                             each prefix may be given once for storage class \"{name}\""
                        )));
                    }
                }
            }
            TagSelection::Patterns(_) => {}
        }
    }
    Ok(())
}
