//! Declarations of small types made by hand, and of absurd ones.

use super::super::tests::Builder;
use super::*;

const PTR: u8 = 2;
const ARRAY: u8 = 3;
const STRUCT: u8 = 4;
const FWD: u8 = 7;
const TYPEDEF: u8 = 8;
const VOLATILE: u8 = 9;
const CONST: u8 = 10;
const FUNC: u8 = 12;
const FUNC_PROTO: u8 = 13;
const TYPE_TAG: u8 = 18;

/// A type that refers to another one.
fn to(builder: &mut Builder, kind: u8, name: &str, target: u32) -> u32 {
    builder.push(kind, name, (false, 0), target, &[])
}

/// A function of parameters (name, type), and its prototype's id.
fn function(builder: &mut Builder, name: &str, result: u32, parameters: &[(&str, u32)]) -> u32 {
    let words: Vec<u32> =
        parameters.iter().flat_map(|(name, type_id)| [builder.string(name), *type_id]).collect();
    let proto = builder.push(FUNC_PROTO, "", (false, parameters.len() as u32), result, &words);
    to(builder, FUNC, name, proto);
    proto
}

fn text(builder: &Builder, class: Class, name: &str) -> Result<String, LookupError> {
    let blob = builder.finish();
    Btf::parse(&blob, [name]).unwrap().prototype(class, name).map(|prototype| prototype.to_string())
}

/// The declaration of a parameter `x` of the type that `make` makes.
fn check(expected: &str, make: impl FnOnce(&mut Builder) -> u32) {
    let mut builder = Builder::default();
    let id = make(&mut builder);
    function(&mut builder, "f", 0, &[("x", id)]);
    assert_eq!(text(&builder, Class::Function, "f").unwrap(), format!("void f({expected})"));
}

#[test]
fn pointers_qualifiers_and_tags_are_written_as_in_c() {
    let path = |builder: &mut Builder| builder.composite(STRUCT, "path", 16, false, &[]);
    check("struct path x", path);
    check("struct path *x", |b| {
        let path = path(b);
        to(b, PTR, "", path)
    });
    check("const struct path *x", |b| {
        let path = path(b);
        let constant = to(b, CONST, "", path);
        to(b, PTR, "", constant)
    });
    check("struct path *const x", |b| {
        let path = path(b);
        let pointer = to(b, PTR, "", path);
        to(b, CONST, "", pointer)
    });
    check("const volatile char **x", |b| {
        let char = b.int("char", 8);
        let volatile = to(b, VOLATILE, "", char);
        let constant = to(b, CONST, "", volatile);
        let user = to(b, TYPE_TAG, "user", constant);
        let pointer = to(b, PTR, "", user);
        to(b, PTR, "", pointer)
    });
    check("void *x", |b| to(b, PTR, "", 0));
    check("struct opaque *x", |b| {
        let forward = to(b, FWD, "opaque", 0);
        to(b, PTR, "", forward)
    });
    check("umode_t x", |b| {
        let short = b.int("short unsigned int", 16);
        to(b, TYPEDEF, "umode_t", short)
    });
    check("enum level x", |b| b.enumeration("level", false, &[]));
    check("struct {…} *x", |b| {
        let anonymous = b.composite(STRUCT, "", 4, false, &[]);
        to(b, PTR, "", anonymous)
    });
}

#[test]
fn arrays_and_functions_bind_tighter_than_pointers() {
    check("int (*x)[3]", |b| {
        let int = b.int("int", 32);
        let array = b.push(ARRAY, "", (false, 0), 0, &[int, int, 3]);
        to(b, PTR, "", array)
    });
    check("int *x[3]", |b| {
        let int = b.int("int", 32);
        let pointer = to(b, PTR, "", int);
        b.push(ARRAY, "", (false, 0), 0, &[pointer, int, 3])
    });
    check("int (*x)(void *data, long)", |b| {
        let (int, long, void) = (b.int("int", 32), b.int("long int", 64), to(b, PTR, "", 0));
        let proto = function(b, "g", int, &[("data", void), ("", long)]);
        to(b, PTR, "", proto)
    });
}

#[test]
fn integers_are_spelled_alike_whatever_the_compiler() {
    for (spelled, expected) in [
        ("long unsigned int", "unsigned long"),
        ("unsigned long", "unsigned long"),
        ("long int", "long"),
        ("long long int", "long long"),
        ("long long unsigned int", "unsigned long long"),
        ("short int", "short"),
        ("unsigned int", "unsigned int"),
        ("unsigned char", "unsigned char"),
        ("signed char", "signed char"),
        ("char", "char"),
        ("_Bool", "_Bool"),
        ("__int128 unsigned", "__int128 unsigned"),
    ] {
        assert_eq!(integer(spelled), expected);
    }
}

#[test]
fn functions_and_tracepoints_have_prototypes() {
    let mut builder = Builder::default();
    let int = builder.int("int", 32);
    let file = builder.composite(STRUCT, "file", 8, false, &[]);
    let pointer = to(&mut builder, PTR, "", file);
    let proto = function(&mut builder, "open_it", pointer, &[("dfd", int), ("", pointer)]);
    let handler = to(&mut builder, PTR, "", proto);
    to(&mut builder, TYPEDEF, "btf_trace_it", handler);
    function(&mut builder, "nothing", 0, &[]);
    assert_eq!(
        text(&builder, Class::Function, "open_it").unwrap(),
        "struct file *open_it(int dfd, struct file *)"
    );
    assert_eq!(text(&builder, Class::Function, "nothing").unwrap(), "void nothing(void)");
    assert_eq!(
        text(&builder, Class::Typedef, "btf_trace_it").unwrap(),
        "struct file *btf_trace_it(int dfd, struct file *)"
    );
    assert!(text(&builder, Class::Composite, "file").unwrap_err().to_string().contains("not a function"));
    assert_eq!(text(&builder, Class::Function, "absent").unwrap_err().to_string(), "no absent");
}

#[test]
fn absurd_types_are_refused() {
    let too_deep = |builder: &Builder| {
        let error = text(builder, Class::Function, "f").unwrap_err();
        assert!(matches!(error, LookupError::Broken(BtfError::TooDeep { .. })), "{error}");
    };
    // A pointer to itself.
    let mut builder = Builder::default();
    let itself = to(&mut builder, PTR, "", 1);
    function(&mut builder, "f", 0, &[("x", itself)]);
    too_deep(&builder);
    // A tag of itself, behind a pointer.
    let mut builder = Builder::default();
    let itself = to(&mut builder, TYPE_TAG, "", 1);
    let pointer = to(&mut builder, PTR, "", itself);
    function(&mut builder, "f", 0, &[("x", pointer)]);
    too_deep(&builder);
    // A function of eight pointers to itself.
    let mut builder = Builder::default();
    let pointer = to(&mut builder, PTR, "", 2);
    function(&mut builder, "f", 0, &[("x", pointer); 8]);
    too_deep(&builder);
    // More parameters than anybody writes down.
    let mut builder = Builder::default();
    let int = builder.int("int", 32);
    function(&mut builder, "f", int, &vec![("x", int); 1 << 16]);
    too_deep(&builder);
    // A name without an end in sight.
    let mut builder = Builder::default();
    let endless = builder.composite(STRUCT, &"x".repeat(1 << 20), 4, false, &[]);
    function(&mut builder, "f", 0, &[("x", endless)]);
    let error = text(&builder, Class::Function, "f").unwrap_err();
    assert!(matches!(error, LookupError::Broken(BtfError::BadName { .. })), "{error}");
}

#[test]
fn declarations_are_read_as_they_are_written() {
    for text in [
        "struct file *do_filp_open(int dfd, struct filename *pathname, const struct open_flags *op)",
        "void f(void)",
        "int vfs_unlink(struct inode *dir, struct dentry *dentry, struct inode **delegated_inode)",
    ] {
        let prototype: Prototype = text.parse().unwrap();
        assert_eq!(prototype.to_string(), text);
    }
    let prototype: Prototype = "struct file *f(unsigned long prot, struct inode **inode)".parse().unwrap();
    let types: Vec<&str> = prototype.parameters.iter().map(|it| it.of_type.as_str()).collect();
    assert_eq!(
        (prototype.result.as_str(), types.as_slice()),
        ("struct file *", &["unsigned long", "struct inode **"][..])
    );
    for text in
        ["", "f", "f()", "int f(", "int f(int)x", "int f(…, int x)", "int f(int x, )", "int f(struct file *)"]
    {
        assert!(text.parse::<Prototype>().is_err(), "{text}");
    }
}
