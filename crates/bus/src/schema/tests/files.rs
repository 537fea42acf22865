use crate::schema::{ApiSchema, Parameters, read_schemas, write_schemas};

fn two() -> Vec<ApiSchema> {
    ["a.one", "b.two"]
        .map(|name| {
            ApiSchema::builder(name, 1)
                .rpc::<u32>("count", "", Parameters::new().optional::<bool>("all", true))
                .build()
        })
        .to_vec()
}

#[test]
fn a_file_holds_several_apis() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("schemas.json");
    write_schemas(&file, &two()).unwrap();
    assert_eq!(read_schemas(&file).unwrap(), two());
}

#[test]
fn a_directory_holds_a_file_for_each_api() {
    let directory = tempfile::tempdir().unwrap();
    write_schemas(directory.path(), &two()).unwrap();
    assert!(directory.path().join("a.one.json").exists());
    std::fs::write(directory.path().join("README.md"), "not a schema").unwrap();
    assert_eq!(read_schemas(directory.path()).unwrap(), two());
}

#[test]
fn a_file_of_another_kind_is_refused_with_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.json");
    for (text, complaint) in
        [("{", "is not JSON"), (r#"{"a": {"rpcs": {}}}"#, "no object `events`")]
    {
        std::fs::write(&file, text).unwrap();
        let error = read_schemas(&file).unwrap_err().to_string();
        assert!(error.contains("x.json") && error.contains(complaint), "{error}");
    }
}
