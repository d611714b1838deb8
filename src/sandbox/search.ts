import { validationError } from './api-error.ts';
import { requiredMembers } from './body.ts';
import type { SandboxCall } from './world.ts';

interface Filter {
  propertyName: string;
  operator: string;
  value?: string;
  values?: string[];
}

/** The operators of HubSpot's search that find calls by their ids. */
const operators: Record<string, (found: string | undefined, filter: Filter) => boolean> = {
  // Case-insensitive, as HubSpot's.
  EQ: (found, { value }) => found?.toLowerCase() === value?.toLowerCase(),
  NEQ: (found, { value }) => found !== value,
  IN: (found, { values }) => found !== undefined && (values ?? []).includes(found),
  HAS_PROPERTY: (found) => found !== undefined,
  NOT_HAS_PROPERTY: (found) => found === undefined,
};

/** The calls that match every filter of at least one group, oldest first, as `hs_createdate` sorts. */
export function search(calls: SandboxCall[], body: unknown) {
  const { filterGroups, limit, after } = requiredMembers(body, 'filterGroups', 'limit', 'after');
  const groups = (filterGroups as { filters: Filter[] }[]).map(({ filters }) => filters);
  const matching = calls.filter((call) =>
    groups.some((filters) => filters.every((filter) => matches(call, filter))),
  );
  const first = Number(after) || 0;
  const results = matching.slice(first, first + Math.min(Number(limit) || 10, 200));
  const next = first + results.length;
  return {
    total: matching.length,
    results,
    ...(next < matching.length && { paging: { next: { after: `${next}` } } }),
  };
}

function matches({ id, properties }: SandboxCall, filter: Filter): boolean {
  const operator = operators[filter.operator];
  if (!operator) throw validationError(`The sandbox has no search operator ${filter.operator}.`);
  return operator(filter.propertyName === 'hs_object_id' ? id : properties[filter.propertyName], filter);
}
