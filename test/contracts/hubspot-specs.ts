import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { ValidateFunction } from 'ajv';
import Ajv from 'ajv';
import formats from 'ajv-formats';
import type { Exchange } from '../../src/sandbox/traffic.ts';

// HubSpot's OpenAPI documents have no licence, so the project contains no part of them. They are read from a folder
// beside the project, if they are there.
const folder = resolve(import.meta.dirname, '../../../shared/hubspot-specs');

/** Why a test of the specifications is skipped; `false` if the documents are there. */
export const specsMissing: string | false = existsSync(folder)
  ? false
  : 'HubSpot’s OpenAPI documents are not in ../shared/hubspot-specs';

interface Operation {
  parameters?: { in: string; name: string; schema: object }[];
  requestBody?: { content: Record<string, object> };
  responses: Record<string, { content?: Record<string, object> }>;
}
interface Document {
  paths: Record<string, Record<string, Operation>>;
}

/** Paths that HubSpot's pages show and that are missing in its OpenAPI documents. */
const undocumented = [
  /^PUT \/crm\/v3\/objects\/calls\/\d+\/associations\/\w+\/\d+\/\d+$/,
  /^(GET|POST|DELETE) \/crm\/v3\/extensions\/calling\/transcripts(\/\d+)?$/,
];

/** Validates exchanges against HubSpot's OpenAPI documents. */
export class HubSpotSpecs {
  readonly #documents = new Map<string, Document>();
  readonly #ajv = new Ajv.default({ strict: false, allErrors: true });

  constructor() {
    formats.default(this.#ajv);
    for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) {
      const document = JSON.parse(readFileSync(join(folder, name), 'utf8'));
      this.#documents.set(name, document);
      this.#ajv.addSchema(document, name);
    }
  }

  /** What is wrong with the request or the response, one sentence each. Empty if both are as specified. */
  violations({ method, path, body, status, reply }: Exchange): string[] {
    const name = `${method} ${path}`;
    const found = this.#find(method.toLowerCase(), path);
    if (!found) return undocumented.some((pattern) => pattern.test(name)) ? [] : [`${name} is not specified`];
    const { document, template, operation } = found;
    const at = `${document}#/paths/${pointer(template)}/${method.toLowerCase()}`;
    const violations: string[] = [];

    for (const type of Object.keys(operation.requestBody?.content ?? {})) {
      const schema = `${at}/requestBody/content/${pointer(type)}/schema`;
      // A request that HubSpot rejects may violate the specification.
      if (status < 400) violations.push(...this.#errors(`${name} request`, schema, body));
    }
    const response = operation.responses[status] ? String(status) : 'default';
    if (response === 'default' && status < 400 && Object.keys(operation.responses).length > 1) {
      violations.push(`${name} does not specify status ${status}`);
    }
    const types = Object.keys(operation.responses[response]?.content ?? {});
    for (const type of status < 400 ? types : []) {
      const schema = `${at}/responses/${response}/content/${pointer(type)}/schema`;
      violations.push(...this.#errors(`${name} ${status} reply`, schema, reply));
    }
    // HubSpot's 429 has no category, so it violates HubSpot's own schema of errors.
    if (status >= 400 && status !== 429) {
      violations.push(
        ...this.#errors(`${name} ${status} reply`, `${document}#/components/schemas/Error`, reply),
      );
    }
    return violations;
  }

  #find(method: string, path: string) {
    for (const [document, { paths }] of this.#documents) {
      for (const [template, operations] of Object.entries(paths)) {
        const pattern = new RegExp(`^${template.replaceAll('.', '\\.').replace(/\{\w+\}/g, '[^/]+')}$`);
        const operation = operations[method];
        if (operation && pattern.test(path)) return { document, template, operation };
      }
    }
    return undefined;
  }

  #errors(what: string, schema: string, value: unknown): string[] {
    const validate = this.#ajv.getSchema(schema) as ValidateFunction | undefined;
    if (!validate) return [`${what}: no schema at ${schema}`];
    if (validate(value)) return [];
    return (validate.errors ?? []).map(({ instancePath, message }) => `${what}${instancePath} ${message}`);
  }
}

function pointer(key: string): string {
  return encodeURIComponent(key.replaceAll('~', '~0').replaceAll('/', '~1'));
}
