"""``/docs``: the API's description as one page that needs nothing from elsewhere."""

DOCS_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Tidelog API</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
details { border: 1px solid #8884; border-radius: .5rem; margin: .5rem 0; padding: .5rem .8rem }
summary { cursor: pointer; overflow-wrap: anywhere }
summary b { display: inline-block; min-width: 4.5rem; font-family: monospace }
code, pre { font-size: .9em } pre { overflow-x: auto; background: #8881; padding: .6rem }
table { border-collapse: collapse } td { padding: .15rem 1rem .15rem 0; vertical-align: top }
h2 { margin-top: 2rem; text-transform: capitalize }
</style>
<h1>Tidelog API</h1>
<p>Machine-readable: <a href="/openapi.json">/openapi.json</a></p>
<main>Loading…</main>
<script>
const make = (tag, text, ...children) => {
  const node = document.createElement(tag)
  if (text) node.textContent = text
  node.append(...children)
  return node
}
const resolve = (api, schema) => schema && schema.$ref
  ? api.components.schemas[schema.$ref.split("/").pop()] : schema
const table = rows => make("table", "", ...rows.map(
  row => make("tr", "", ...row.map(cell => make("td", cell)))))
fetch("/openapi.json").then(reply => reply.json()).then(api => {
  const main = document.querySelector("main"), groups = {}
  main.textContent = ""
  for (const [path, methods] of Object.entries(api.paths))
    for (const [method, call] of Object.entries(methods))
      (groups[(call.tags || ["other"])[0]] ??= []).push([method, path, call])
  for (const [name, calls] of Object.entries(groups)) {
    main.append(make("h2", name))
    for (const [method, path, call] of calls) {
      const box = make("details", "", make("summary", "",
        make("b", method.toUpperCase()), make("code", path)))
      box.append(make("p", call.description || call.summary))
      if (call.parameters?.length) box.append(table(call.parameters.map(
        one => [one.name, one.in, one.description || "", one.schema.enum?.join(" | ") || ""])))
      const body = call.requestBody?.content?.["application/json"]?.schema
      if (body) box.append(make("p", "Body"),
        make("pre", JSON.stringify(resolve(api, body).properties, null, 2)))
      box.append(table(Object.entries(call.responses).map(
        ([status, answer]) => [status, answer.description])))
      main.append(box)
    }
  }
})
</script></html>
"""
