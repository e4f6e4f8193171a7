/** `/.well-known/core`: what can be discovered here, as CoRE links [RFC6690]. */
import { pathText } from '../../routing/primitive.js';
import type { Link } from '../../routing/site.js';

/**
 * The links that match the query, as text.
 *
 * One `name=value` filters: `rt`, `if` and `ct` match any of their space-separated values, `href` the target; a trailing `*`
 * stands for anything that follows. Other parameters match nothing they are not an attribute of.
 */
export function writeLinks(links: Iterable<Link>, query: URLSearchParams): string {
  const filters = [...query.entries()];
  const lines: string[] = [];
  for (const link of links)
    if (filters.every(([name, pattern]) => matches(link, name, pattern))) lines.push(lineOf(link));
  return lines.join(',');
}

function lineOf({ path, resourceType, interfaceDescription, contentFormats, isObservable, size }: Link): string {
  const attributes = [
    resourceType === undefined ? '' : `;rt="${resourceType}"`,
    interfaceDescription === undefined ? '' : `;if="${interfaceDescription}"`,
    contentFormats.length === 0
      ? ''
      : contentFormats.length === 1
        ? `;ct=${contentFormats[0]}`
        : `;ct="${contentFormats.join(' ')}"`,
    size === undefined ? '' : `;sz=${size}`,
    isObservable ? ';obs' : '',
  ];
  return `<${pathText(path)}>${attributes.join('')}`;
}

function matches(link: Link, name: string, pattern: string): boolean {
  const values = valuesOf(link, name);
  if (!pattern.endsWith('*')) return values.includes(pattern);
  const prefix = pattern.slice(0, -1);
  return values.some((value) => value.startsWith(prefix));
}

function valuesOf(
  { path, resourceType, interfaceDescription, contentFormats, isObservable, size }: Link,
  name: string,
): readonly string[] {
  switch (name) {
    case 'href':
      return [pathText(path)];
    case 'rt':
      return resourceType?.split(' ') ?? [];
    case 'if':
      return interfaceDescription?.split(' ') ?? [];
    case 'ct':
      return contentFormats.map(String);
    case 'sz':
      return size === undefined ? [] : [String(size)];
    case 'obs':
      return isObservable ? [''] : [];
    default:
      return [];
  }
}
