#!/usr/bin/env bash
# Makes schema.json beside it from Slack's own published types (npm package @slack/types, MIT licence).
# Needs node, npm and python3. Run it when Slack publishes new types, and look at the difference.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm init --yes >/dev/null
npm install --no-fund --no-audit @slack/types@3.2.0 ts-json-schema-generator@2.4.0 typescript >/dev/null
cat >message.ts <<'TYPES'
import type { KnownBlock } from "@slack/types";
export interface Message { text: string; blocks: KnownBlock[]; }
TYPES
cat >tsconfig.json <<'OPTIONS'
{ "compilerOptions": { "target": "es2020", "module": "commonjs", "moduleResolution": "node", "strict": true, "skipLibCheck": true }, "include": ["message.ts"] }
OPTIONS
npx ts-json-schema-generator --path message.ts --tsconfig tsconfig.json --type Message --no-top-ref --out types.json
# Only the shapes are kept: the descriptions belong to Slack's documentation.
python3 - "$here/schema.json" <<'SHAPES'
import json, sys

def shape(node):
    if isinstance(node, list):
        return [shape(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: shape(value) for key, value in node.items() if not (key in {"description", "deprecated"} and not isinstance(value, dict))}

with open("types.json", encoding="utf-8") as types, open(sys.argv[1], "w", encoding="utf-8") as schema:
    json.dump(shape(json.load(types)), schema, indent=1, sort_keys=True)
    schema.write("\n")
SHAPES
