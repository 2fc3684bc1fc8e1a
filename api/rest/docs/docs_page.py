"""``/docs``: the API's description as one page that needs nothing from elsewhere.

Its one link is relative: a proxy may serve it below any prefix.
"""

DOCS_PAGE = r"""<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Tidelog API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
details { border: 1px solid #8884; border-radius: .5rem; margin: .5rem 0; padding: .5rem .8rem }
summary { cursor: pointer; overflow-wrap: anywhere }
summary b { display: inline-block; min-width: 4.5rem; font-family: monospace }
summary span { display: block; margin-left: 5.6rem; font-size: .9em; opacity: .75 }
code, pre { font-size: .9em }
pre { overflow-x: auto; background: #8881; padding: .6rem; border-radius: .3rem }
table { border-collapse: collapse; font-size: .9em; margin: .5rem 0 }
td, th { padding: .15rem 1rem .15rem 0; vertical-align: top; text-align: left }
td:first-child { font-family: monospace }
h2 { margin-top: 2rem; text-transform: capitalize } h3 { margin: 1rem 0 0; font-size: 1em }
</style>
<h1>Tidelog API</h1>
<p>Machine-readable: <a href="openapi.json">openapi.json</a></p>
<main>Loading…</main>
<script>
const make = (tag, text, ...children) => {
  const node = document.createElement(tag)
  if (text) node.textContent = text
  node.append(...children)
  return node
}
const table = (head, rows) => make("table", "",
  make("tr", "", ...head.map(cell => make("th", cell))),
  ...rows.map(row => make("tr", "", ...row.map(cell => make("td", cell)))))
const sentence = text => text.split("\n\n")[0].replaceAll("`", "")

function show(api) {
  const resolve = schema => schema?.$ref
    ? resolve(api.components.schemas[schema.$ref.split("/").pop()]) : schema || {}
  const kind = schema => {
    schema = resolve(schema)
    if (schema.enum) return schema.enum.join(" | ")
    if (schema.anyOf) return schema.anyOf.map(kind).join(" or ")
    if (schema.type === "array") return "list of " + kind(schema.items)
    return [schema.type || "any JSON"].flat().join(" or ")
  }
  const sample = schema => {
    schema = resolve(schema)
    const given = schema.example ?? schema.examples?.[0] ?? schema.default
    if (given !== undefined) return given
    if (schema.anyOf) return sample(schema.anyOf[0])
    if (schema.enum) return schema.enum[0]
    if (schema.type === "array") return [sample(schema.items)]
    if (schema.type === "object") return Object.fromEntries(
      Object.entries(schema.properties || {}).map(([name, field]) => [name, sample(field)]))
    return { integer: 0, number: 0, boolean: true, string: "text" }[schema.type] ?? null
  }
  const json = schema => make("pre", JSON.stringify(sample(schema), null, 2))
  const of = content => content?.["application/json"]?.schema

  const describe = (method, path, call) => {
    const text = call.description || call.summary
    const box = make("details", "", make("summary", "",
      make("b", method.toUpperCase()), make("code", path), make("span", sentence(text))))
    if (text.includes("\n\n")) box.append(make("p", text.replaceAll("`", "")))
    if (call.parameters?.length) box.append(make("h3", "Parameters"),
      table(["name", "in", "type", "meaning"], call.parameters.map(one =>
        [one.name, one.in, kind(one.schema), one.description || ""])))
    const body = of(call.requestBody?.content), fields = resolve(body).properties
    if (body) box.append(make("h3", "Body"), json(body))
    if (fields) box.append(table(["field", "type", "meaning"], Object.entries(fields).map(
      ([name, field]) => [name, kind(field), resolve(field).description || ""])))
    box.append(make("h3", "Answers"), table(["status", "meaning"],
      Object.entries(call.responses).map(([status, answer]) => [status, answer.description])))
    const good = Object.entries(call.responses).find(([status]) => status < 300)
    if (of(good?.[1].content)) box.append(json(of(good[1].content)))
    return box
  }

  const main = document.querySelector("main"), groups = {}
  main.textContent = ""
  for (const [path, methods] of Object.entries(api.paths))
    for (const [method, call] of Object.entries(methods))
      (groups[(call.tags || ["other"])[0]] ??= []).push(describe(method, path, call))
  for (const [name, calls] of Object.entries(groups)) main.append(make("h2", name), ...calls)
}
fetch("openapi.json").then(reply => reply.json()).then(show).catch(error => {
  document.querySelector("main").textContent = "openapi.json cannot be read: " + error
})
</script></html>
"""
