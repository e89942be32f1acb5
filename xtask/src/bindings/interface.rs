//! The description of the interface, read from the committed file.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

/// A type where it is used.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ty {
    Null,
    Any,
    Text,
    Integer,
    Number,
    Flag,
    Named(String),
    List(Box<Ty>),
    Map(Box<Ty>),
    Maybe(Box<Ty>),
    /// Text that stands for a record, or the record.
    TextOr(String),
}

/// One field of a record or one parameter.
#[derive(Clone, Debug)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) ty: Ty,
    pub(crate) required: bool,
    pub(crate) default: Option<Value>,
}

/// A type by its name.
#[derive(Clone, Debug)]
pub(crate) enum Def {
    Record(Vec<Field>),
    Choice(Vec<(String, String)>),
    Alias(Ty),
}

/// A named type with its documentation.
#[derive(Clone, Debug)]
pub(crate) struct Type {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) def: Def,
}

/// One operation.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) name: String,
    pub(crate) scope: String,
    pub(crate) doc: String,
    /// The record that is passed as a whole, where there is one.
    pub(crate) request: Option<String>,
    /// Else single parameters, those that are required first.
    pub(crate) params: Vec<Field>,
    pub(crate) result: Ty,
}

/// One method of a plug-in.
#[derive(Clone, Debug)]
pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) required: bool,
    pub(crate) request: Ty,
    pub(crate) answer: Ty,
}

/// One kind of plug-in.
#[derive(Clone, Debug)]
pub(crate) struct Trait {
    pub(crate) kind: String,
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) methods: Vec<Method>,
}

/// One kind of error.
#[derive(Clone, Debug)]
pub(crate) struct ErrorRow {
    pub(crate) kind: String,
    pub(crate) doc: String,
    pub(crate) python: String,
    pub(crate) node: String,
    pub(crate) uniffi: String,
    pub(crate) http: u64,
}

/// All of it. Types are those that hosts see, in alphabetical order.
#[derive(Clone, Debug)]
pub(crate) struct Interface {
    pub(crate) types: Vec<Type>,
    pub(crate) operations: Vec<Operation>,
    pub(crate) traits: Vec<Trait>,
    pub(crate) errors: Vec<ErrorRow>,
    /// API groups of built-in kinds, by kind.
    pub(crate) groups: BTreeMap<String, String>,
}

fn text(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

/// Links of Rust's documentation mean nothing elsewhere; texts are one paragraph.
fn doc(value: &Value) -> String {
    text(value, "description").replace(['`', '[', ']'], "").split_whitespace().collect::<Vec<_>>().join(" ")
}

fn ty(schema: &Value) -> Ty {
    if let Some(name) = schema["$ref"].as_str() {
        return match name.rsplit('/').next().unwrap_or_default() {
            "Target" => Ty::TextOr("ObjectRef".into()),
            name => Ty::Named(name.to_owned()),
        };
    }
    if let Some(options) = schema["anyOf"].as_array() {
        let known: Vec<Ty> = options.iter().map(ty).filter(|t| *t != Ty::Null).collect();
        return match known.as_slice() {
            [one] => Ty::Maybe(Box::new(one.clone())),
            _ => Ty::Any,
        };
    }
    let named = |name: &str| match name {
        "null" => Ty::Null,
        "string" => Ty::Text,
        "integer" => Ty::Integer,
        "number" => Ty::Number,
        "boolean" => Ty::Flag,
        "array" => Ty::List(Box::new(ty(&schema["items"]))),
        "object" if schema["additionalProperties"].is_object() => Ty::Map(Box::new(ty(&schema["additionalProperties"]))),
        "object" => Ty::Map(Box::new(Ty::Any)),
        _ => Ty::Any,
    };
    match &schema["type"] {
        Value::String(name) => named(name),
        Value::Array(names) => {
            let known: Vec<&str> = names.iter().filter_map(Value::as_str).filter(|n| *n != "null").collect();
            match known.as_slice() {
                [one] => Ty::Maybe(Box::new(named(one))),
                _ => Ty::Any,
            }
        }
        _ => Ty::Any,
    }
}

/// What a field has that is left out where it is empty: the schema does not say so.
fn empty(ty: &Ty) -> Option<Value> {
    match ty {
        Ty::List(_) => Some(json!([])),
        Ty::Map(_) => Some(json!({})),
        Ty::Text => Some(json!("")),
        Ty::Flag => Some(json!(false)),
        _ => None,
    }
}

fn fields(schema: &Value) -> Vec<Field> {
    let required: Vec<&str> = list(schema, "required").filter_map(Value::as_str).collect();
    let properties = schema["properties"].as_object();
    let field = |name: &str, value: &Value| Field {
        name: name.to_owned(),
        doc: doc(value),
        ty: ty(value),
        required: required.contains(&name),
        default: value.get("default").cloned().or_else(|| empty(&ty(value))),
    };
    let mut first: Vec<Field> = required.iter().filter_map(|n| Some(field(n, properties?.get(*n)?))).collect();
    let rest = properties.into_iter().flatten().filter(|(name, _)| !required.contains(&name.as_str()));
    first.extend(rest.map(|(name, value)| field(name, value)));
    first
}

/// A union told apart by a constant is one record here: what only some variants have is optional.
fn merged(variants: &[Value]) -> Vec<Field> {
    let mut all: BTreeMap<String, Field> = BTreeMap::new();
    for variant in variants {
        for mut field in fields(variant) {
            let everywhere = variants.iter().all(|v| list(v, "required").any(|n| n == field.name.as_str()));
            field.required = everywhere;
            if variant["properties"][&field.name].get("const").is_some() {
                let names = variants.iter().filter_map(|v| v["properties"][&field.name]["const"].as_str());
                field.doc = format!("One of {}.", names.collect::<Vec<_>>().join(", "));
                field.ty = Ty::Text;
            }
            if !everywhere && !matches!(field.ty, Ty::Maybe(_)) {
                field.ty = Ty::Maybe(Box::new(field.ty));
            }
            all.entry(field.name.clone()).or_insert(field);
        }
    }
    let (mut required, optional): (Vec<Field>, Vec<Field>) = all.into_values().partition(|f| f.required);
    required.extend(optional);
    required
}

fn named(name: &str, schema: &Value) -> Type {
    let variants = schema["oneOf"].as_array().cloned().unwrap_or_default();
    let def = if !variants.is_empty() && variants.iter().all(|v| v["const"].is_string()) {
        Def::Choice(variants.iter().map(|v| (text(v, "const"), doc(v))).collect())
    } else if !variants.is_empty() && variants.iter().all(|v| v["properties"].is_object()) {
        Def::Record(merged(&variants))
    } else if let Some(values) = schema["enum"].as_array() {
        Def::Choice(values.iter().filter_map(|v| Some((v.as_str()?.to_owned(), String::new()))).collect())
    } else if schema["properties"].is_object() {
        Def::Record(fields(schema))
    } else {
        Def::Alias(ty(schema))
    };
    Type { name: name.to_owned(), doc: doc(schema), def }
}

/// The names that a type uses.
fn uses(ty: &Ty, out: &mut Vec<String>) {
    match ty {
        Ty::Named(name) | Ty::TextOr(name) => out.push(name.clone()),
        Ty::List(of) | Ty::Map(of) | Ty::Maybe(of) => uses(of, out),
        _ => {}
    }
}

impl Interface {
    pub(crate) fn read(json: &Value) -> Self {
        let all: BTreeMap<String, Type> =
            json["types"].as_object().into_iter().flatten().map(|(name, schema)| (name.clone(), named(name, schema))).collect();
        let operations: Vec<Operation> = list(json, "operations").map(|o| operation(o, &all)).collect();
        let traits: Vec<Trait> = list(json, "traits").map(plug_in).collect();
        let kinds = all.get("ErrorKind").map(|t| &t.def);
        let errors = list(json, "errors").map(|e| error(e, kinds)).collect();
        let mut open = vec!["CallContext".to_owned(), "ErrorBody".to_owned()];
        for o in &operations {
            uses(&o.result, &mut open);
            open.extend(o.request.clone());
            o.params.iter().for_each(|p| uses(&p.ty, &mut open));
        }
        for method in traits.iter().flat_map(|t| &t.methods) {
            uses(&method.request, &mut open);
            uses(&method.answer, &mut open);
        }
        let mut seen = BTreeSet::new();
        while let Some(name) = open.pop() {
            if let Some(found) = all.get(&name)
                && seen.insert(name)
            {
                match &found.def {
                    Def::Record(fields) => fields.iter().for_each(|f| uses(&f.ty, &mut open)),
                    Def::Alias(ty) => uses(ty, &mut open),
                    Def::Choice(_) => {}
                }
            }
        }
        let types = all.into_values().filter(|t| seen.contains(&t.name)).collect();
        let group = |(kind, group): (&String, &Value)| Some((kind.clone(), group.as_str()?.to_owned()));
        let groups = json["groups"].as_object().into_iter().flatten().filter_map(group).collect();
        Self { types, operations, traits, errors, groups }
    }

    /// The type of that name.
    pub(crate) fn find(&self, name: &str) -> Option<&Type> {
        self.types.iter().find(|t| t.name == name)
    }

    /// The type that an alias stands for.
    pub(crate) fn plain(&self, ty: &Ty) -> Ty {
        match ty {
            Ty::Named(name) => match self.find(name).map(|t| &t.def) {
                Some(Def::Alias(of)) => self.plain(of),
                _ => ty.clone(),
            },
            other => other.clone(),
        }
    }
}

fn operation(json: &Value, types: &BTreeMap<String, Type>) -> Operation {
    let name = match ty(&json["params"]) {
        Ty::Named(name) => name,
        _ => String::new(),
    };
    let whole = name.ends_with("Request");
    let params = match types.get(&name).map(|t| &t.def) {
        Some(Def::Record(fields)) if !whole => fields.clone(),
        _ => Vec::new(),
    };
    Operation {
        name: text(json, "name"),
        scope: text(json, "scope"),
        doc: text(json, "doc"),
        request: whole.then_some(name),
        params,
        result: ty(&json["result"]),
    }
}

fn plug_in(json: &Value) -> Trait {
    let methods = list(json, "methods").map(|m| Method {
        name: text(m, "name"),
        doc: text(m, "doc"),
        required: m["required"] == true,
        request: ty(&m["request"]),
        answer: ty(&m["answer"]),
    });
    Trait { kind: text(json, "kind"), name: text(json, "name"), doc: text(json, "doc"), methods: methods.collect() }
}

fn error(json: &Value, kinds: Option<&Def>) -> ErrorRow {
    let kind = text(json, "kind");
    let doc = match kinds {
        Some(Def::Choice(all)) => all.iter().find(|(name, _)| *name == kind).map(|(_, doc)| doc.clone()),
        _ => None,
    };
    ErrorRow {
        doc: doc.unwrap_or_default(),
        python: text(json, "python"),
        node: text(json, "node"),
        uniffi: text(json, "uniffi"),
        http: json["http"].as_u64().unwrap_or_default(),
        kind,
    }
}
