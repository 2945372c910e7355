//! A configuration as it was read, before anybody knows what it means: JSON that
//! borrows its strings from the text.
//!
//! serde_json's own `Value` would do. But a short container's runtime spends
//! itself on reading its configuration, and a `Value` copies every string and
//! hashes every member's name.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{
    self, Deserialize, Deserializer, EnumAccess, IntoDeserializer, MapAccess, SeqAccess,
    VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use serde_json::Error;

/// A value, and all that is in it.
#[derive(Debug)]
pub(crate) enum Node<'a> {
    Null,
    Bool(bool),
    Unsigned(u64),
    /// A negative one.
    Signed(i64),
    Float(f64),
    Text(Cow<'a, str>),
    List(Vec<Node<'a>>),
    /// In the order of the text; of members of the same name the last counts.
    Object(Vec<(Cow<'a, str>, Node<'a>)>),
}

impl<'a> Node<'a> {
    /// The member of this name, if this is an object that has it.
    pub(crate) fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members
                .iter()
                .find_map(|(known, member)| (known == name).then_some(member)),
            _ => None,
        }
    }

    /// The member at `field` (`process.user`), if it is there and says something.
    pub(crate) fn at(&self, field: &str) -> Option<&Self> {
        let mut node = self;
        let mut rest = field;
        loop {
            let (name, after) = match rest.bytes().position(|byte| byte == b'.') {
                Some(dot) => (&rest[..dot], Some(&rest[dot + 1..])),
                None => (rest, None),
            };
            node = match node.get(name)? {
                Self::Null => return None,
                member => member,
            };
            match after {
                Some(after) => rest = after,
                None => return Some(node),
            }
        }
    }

    /// Who asks for one of `value`'s parts is tested with it.
    #[cfg(test)]
    pub(crate) fn of(value: &'a serde_json::Value) -> Self {
        Self::deserialize(value).unwrap()
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Node<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Reader)
    }
}

/// A string, borrowed where it can be: serde's `Cow` copies, and its `&str` takes
/// none that had to be copied.
#[derive(Debug)]
pub(crate) struct Text<'a>(Cow<'a, str>);

impl AsRef<str> for Text<'_> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Text<'de>;

            fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Node<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("any valid JSON value")
    }

    fn visit_unit<E>(self) -> Result<Node<'de>, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Node<'de>, E> {
        Ok(Node::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Node<'de>, E> {
        Ok(Node::Unsigned(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Node<'de>, E> {
        Ok(match u64::try_from(value) {
            Ok(value) => Node::Unsigned(value),
            Err(_) => Node::Signed(value),
        })
    }

    fn visit_f64<E>(self, value: f64) -> Result<Node<'de>, E> {
        Ok(Node::Float(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node<'de>, E> {
        Ok(Node::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Node<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = elements.next_element()? {
            list.push(element);
        }
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Node<'de>, A::Error> {
        let mut members: Vec<(Cow<'de, str>, Node<'de>)> = Vec::new();
        while let Some(Text(name)) = entries.next_key()? {
            let member = entries.next_value()?;
            match members.iter_mut().find(|(known, _)| *known == name) {
                Some((_, earlier)) => *earlier = member,
                None => members.push((name, member)),
            }
        }
        Ok(Node::Object(members))
    }
}

/// What serde_json does of its own `Value`, its words for what is wrong included.
impl<'de> Deserializer<'de> for &'de Node<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Node::Null => visitor.visit_unit(),
            Node::Bool(value) => visitor.visit_bool(*value),
            Node::Unsigned(value) => visitor.visit_u64(*value),
            Node::Signed(value) => visitor.visit_i64(*value),
            Node::Float(value) => visitor.visit_f64(*value),
            Node::Text(text) => visitor.visit_borrowed_str(text),
            Node::List(elements) => {
                let mut rest = elements.iter();
                let value = visitor.visit_seq(SeqDeserializer::new(rest.by_ref()))?;
                match rest.len() {
                    0 => Ok(value),
                    _ => {
                        let length = elements.len();
                        Err(de::Error::invalid_length(
                            length,
                            &"fewer elements in array",
                        ))
                    }
                }
            }
            Node::Object(members) => {
                let mut rest = members.iter().map(|(name, member)| (&**name, member));
                let value = visitor.visit_map(MapDeserializer::new(rest.by_ref()))?;
                match rest.len() {
                    0 => Ok(value),
                    _ => {
                        let length = members.len();
                        Err(de::Error::invalid_length(length, &"fewer elements in map"))
                    }
                }
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Node::Null => visitor.visit_none(),
            some => visitor.visit_some(some),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let choice = match self {
            Node::Text(name) => Choice { name, value: None },
            Node::Object(members) => match members.as_slice() {
                [(name, value)] => Choice {
                    name,
                    value: Some(value),
                },
                _ => {
                    let found = de::Unexpected::Map;
                    return Err(de::Error::invalid_value(found, &"map with a single key"));
                }
            },
            other => {
                return Err(de::Error::invalid_type(
                    other.unexpected(),
                    &"string or map",
                ));
            }
        };
        visitor.visit_enum(choice)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple tuple_struct map struct identifier
    }
}

impl<'de> IntoDeserializer<'de, Error> for &'de Node<'_> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Node<'_> {
    fn unexpected(&self) -> de::Unexpected<'_> {
        match self {
            Self::Null => de::Unexpected::Unit,
            Self::Bool(value) => de::Unexpected::Bool(*value),
            Self::Unsigned(value) => de::Unexpected::Unsigned(*value),
            Self::Signed(value) => de::Unexpected::Signed(*value),
            Self::Float(value) => de::Unexpected::Float(*value),
            Self::Text(text) => de::Unexpected::Str(text),
            Self::List(_) => de::Unexpected::Seq,
            Self::Object(_) => de::Unexpected::Map,
        }
    }
}

/// A variant, with what it holds if anything.
struct Choice<'de, 'a> {
    name: &'de str,
    value: Option<&'de Node<'a>>,
}

impl<'de> EnumAccess<'de> for Choice<'de, '_> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<V: de::DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), Error> {
        let name: de::value::BorrowedStrDeserializer<'de, Error> =
            de::value::BorrowedStrDeserializer::new(self.name);
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> VariantAccess<'de> for Choice<'de, '_> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        match self.value {
            None => Ok(()),
            Some(value) => Deserialize::deserialize(value),
        }
    }

    fn newtype_variant_seed<T: de::DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        match self.value {
            Some(value) => seed.deserialize(value),
            None => {
                let found = de::Unexpected::UnitVariant;
                Err(de::Error::invalid_type(found, &"newtype variant"))
            }
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _length: usize, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Some(value @ Node::List(_)) => value.deserialize_any(visitor),
            Some(other) => Err(de::Error::invalid_type(
                other.unexpected(),
                &"tuple variant",
            )),
            None => {
                let found = de::Unexpected::UnitVariant;
                Err(de::Error::invalid_type(found, &"tuple variant"))
            }
        }
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Some(value @ Node::Object(_)) => value.deserialize_any(visitor),
            Some(other) => Err(de::Error::invalid_type(
                other.unexpected(),
                &"struct variant",
            )),
            None => {
                let found = de::Unexpected::UnitVariant;
                Err(de::Error::invalid_type(found, &"struct variant"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, HashSet};

    use oci_spec::runtime::{
        LinuxCapabilities, LinuxDevice, LinuxNamespace, LinuxSeccomp, Mount, PosixRlimit, Root,
        User,
    };
    use serde_json::Value;

    use super::*;

    /// Both ways, and the words of both.
    fn same<T>(text: &str) -> Result<T, String>
    where
        T: de::DeserializeOwned + PartialEq + fmt::Debug,
    {
        let value: Value = serde_json::from_str(text).unwrap();
        let node: Node<'_> = serde_json::from_str(text).unwrap();
        let by_value = T::deserialize(&value).map_err(|error| error.to_string());
        let by_node = T::deserialize(&node).map_err(|error| error.to_string());
        assert_eq!(by_node, by_value, "{text}");
        by_node
    }

    #[test]
    fn what_a_value_gives_a_node_gives() {
        for text in [
            "null",
            "true",
            "3",
            "-3",
            "3.5",
            "1e400",
            "300",
            "4294967296",
            "\"\"",
            "\"a\\nb\"",
            "\"box\"",
            "[]",
            "[1,2]",
            "[\"a\",\"b\\u00e9\"]",
            "[null]",
            "[[1]]",
            "{}",
            "{\"a\":1}",
            "{\"a\":\"b\"}",
            "{\"path\":\"x\"}",
            "{\"path\":\"x\",\"readonly\":true}",
            "{\"path\":3}",
            "{\"path\":\"x\",\"readonly\":null}",
            "{\"path\":\"x\",\"path\":\"y\"}",
            "[\"x\",true]",
            "[\"x\",true,3]",
            "{\"uid\":1,\"gid\":2,\"umask\":18,\"additionalGids\":[3,4]}",
            "{\"uid\":-1}",
            "{\"uid\":\"root\"}",
            "{\"additionalGids\":[1.5]}",
            "{\"destination\":\"/p\",\"type\":\"proc\",\"source\":\"proc\",\"options\":[\"ro\"]}",
            "{\"destination\":[\"/p\"]}",
            "{\"type\":\"proc\"}",
            "{\"type\":\"pid\"}",
            "{\"type\":\"pid\",\"path\":\"/x\"}",
            "{\"type\":\"no\"}",
            "{\"type\":{\"pid\":null}}",
            "{\"type\":{\"pid\":1}}",
            "{\"type\":{}}",
            "{\"type\":[]}",
            "{\"type\":\"RLIMIT_CORE\",\"hard\":0,\"soft\":18446744073709551615}",
            "{\"path\":\"/dev/x\",\"type\":\"c\",\"major\":1,\"minor\":-2,\"fileMode\":438}",
            "{\"bounding\":[\"CAP_CHOWN\",\"kill\"],\"ambient\":null}",
            "{\"bounding\":[\"FLY\"]}",
            "{\"bounding\":3}",
            "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"SCMP_ARCH_X86_64\"],\
             \"syscalls\":[{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":1,\
             \"args\":[{\"index\":0,\"value\":1,\"valueTwo\":2,\"op\":\"SCMP_CMP_EQ\"}]}]}",
        ] {
            let Ok(value) = serde_json::from_str::<Value>(text) else {
                assert!(serde_json::from_str::<Node<'_>>(text).is_err(), "{text}");
                continue;
            };
            drop(value);
            // What each makes of it is `same`'s to compare.
            drop(same::<Option<bool>>(text));
            drop(same::<u32>(text));
            drop(same::<i64>(text));
            drop(same::<f64>(text));
            drop(same::<String>(text));
            drop(same::<std::path::PathBuf>(text));
            drop(same::<Vec<String>>(text));
            drop(same::<HashSet<u32>>(text));
            drop(same::<(u32, u32)>(text));
            drop(same::<BTreeMap<String, String>>(text));
            drop(same::<Value>(text));
            drop(same::<Root>(text));
            drop(same::<User>(text));
            drop(same::<Mount>(text));
            drop(same::<LinuxNamespace>(text));
            drop(same::<PosixRlimit>(text));
            drop(same::<LinuxDevice>(text));
            drop(same::<LinuxCapabilities>(text));
            drop(same::<LinuxSeccomp>(text));
        }
        assert_eq!(same::<(u32, u32)>("[1,2]"), Ok((1, 2)));
    }

    #[test]
    fn members_are_found() {
        let text = r#"{"a": {"b": {"c": 3}, "n": null}, "a.b": 1, "a": {"b": {"c": 4}}}"#;
        let node: Node<'_> = serde_json::from_str(text).unwrap();
        assert!(matches!(node.at("a.b.c"), Some(Node::Unsigned(4))));
        for field in ["a.n", "a.n.x", "b", "a.b.c.d", ""] {
            assert!(node.at(field).is_none(), "{field}");
        }
    }
}
