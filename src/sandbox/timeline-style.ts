/** The timeline's looks: one column of cards along a line, by day or by night. */
export const style = `
:root {
  --paper: #f5f8fa; --card: #fff; --ink: #213343; --soft: #516f90; --line: #dfe3eb; --accent: #c2410c;
  --yes: #0b6b5d; --yes-paper: #e5f5f3; --no: #a32035; --no-paper: #fdedee; --wait: #7a5200; --wait-paper: #fef6e0;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #12181f; --card: #1b232d; --ink: #e6edf4; --soft: #9fb3c8; --line: #2d3946; --accent: #ff8f59;
    --yes: #63d6c3; --yes-paper: #12322f; --no: #ff9aa7; --no-paper: #3a1c22; --wait: #f0c768; --wait-paper: #352b14;
  }
}
* { box-sizing: border-box; margin: 0; }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); }
header, main { max-width: 46rem; margin: 0 auto; padding: 0 1.25rem; }
header { display: flex; gap: 1rem; align-items: center; flex-wrap: wrap; padding-top: 2.5rem; }
header p { color: var(--soft); }
h1 { font-size: 1.6rem; line-height: 1.2; letter-spacing: -.01em; }
a { color: var(--accent); }
.avatar { width: 3.5rem; height: 3.5rem; border-radius: 50%; display: grid; place-items: center;
  font-size: 1.5rem; font-weight: 600; color: #fff; background: linear-gradient(135deg, #ff7a59, #b3365f); }
dl { display: flex; gap: 1.5rem; margin-left: auto; }
dl div { display: flex; flex-direction: column-reverse; text-align: right; }
dt { font-size: .8rem; color: var(--soft); }
dd { font-size: 1.5rem; font-weight: 600; line-height: 1.1; font-variant-numeric: tabular-nums; }
main { padding-bottom: 4rem; }
h2 { font-size: .85rem; font-weight: 600; color: var(--soft); margin: 2.25rem 0 .75rem; }
ol { list-style: none; padding: 0; display: grid; gap: 1rem; }
main > ol { margin-top: 2rem; }
section ol { border-left: 2px solid var(--line); padding-left: 1.5rem; margin-left: 1rem; }
.card { position: relative; background: var(--card); border: 1px solid var(--line); border-radius: 12px;
  padding: 1.1rem 1.25rem; box-shadow: 0 1px 2px rgb(33 51 67 / .06); }
.row { display: flex; gap: 1rem; } .row a { flex: 1; font-weight: 600; } .row span { color: var(--soft); }
.head { display: flex; gap: .6rem; align-items: baseline; }
.head h3 { font-size: 1.05rem; flex: 1; overflow-wrap: anywhere; }
.head time { color: var(--soft); font-size: .85rem; white-space: nowrap; }
.arrow { position: absolute; left: calc(-1.5rem - 1px); top: 1rem; translate: -50%; width: 1.9rem; height: 1.9rem;
  border-radius: 50%; display: grid; place-items: center; background: var(--card); border: 2px solid var(--line);
  font-weight: 700; }
.inbound { color: var(--yes); } .outbound { color: var(--accent); }
.meta { display: flex; flex-wrap: wrap; gap: .1rem 1rem; color: var(--soft); font-size: .9rem; margin-top: .15rem; }
.number { font-variant-numeric: tabular-nums; }
.body { margin-top: .6rem; white-space: pre-line; overflow-wrap: anywhere; }
audio { display: block; width: 100%; margin: .9rem 0 .2rem; }
.silent { margin: .9rem 0 .2rem; padding: .6rem .8rem; border: 1px dashed var(--line); border-radius: 8px;
  color: var(--soft); font-size: .9rem; }
.verdict { margin-top: .8rem; padding: .6rem .8rem; border-radius: 8px; font-size: .9rem; }
.verdict ul { padding-left: 1.2rem; } .verdict strong { font-weight: 600; }
.yes { color: var(--yes); background: var(--yes-paper); }
.no { color: var(--no); background: var(--no-paper); }
.wait { color: var(--wait); background: var(--wait-paper); }
details { margin-top: .4rem; color: var(--ink); } summary { cursor: pointer; color: var(--soft); }
table { border-spacing: .9rem .1rem; margin-left: -.9rem; font-size: .85rem; }
th, td { vertical-align: top; } th { text-align: left; font-weight: 600; } td { overflow-wrap: anywhere; }
.empty { margin-top: 3rem; text-align: center; color: var(--soft); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; border-radius: 4px; }
@media (max-width: 34rem) { section ol { padding-left: 1.1rem; margin-left: .6rem; } .arrow { left: calc(-1.1rem - 1px); } }
`;
