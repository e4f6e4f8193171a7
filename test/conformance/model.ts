/**
 * A small model of the standard's tree: applications, containers and their contentInstances, with what each request is answered.
 * Written from the standard as docs/resource-tree.md tells it; imports nothing of the broker.
 */
export interface Asked {
  readonly op: 'create' | 'retrieve' | 'update' | 'delete';
  /** Decoded segments. */
  readonly to: readonly string[];
  /** Of a create or update: the document's root key and attributes; or a text to be stored as it is. */
  readonly root?: string;
  readonly attributes?: Readonly<Record<string, unknown>>;
  readonly text?: string;
}

export interface Expected {
  readonly status: number;
  /** Of what is read: attributes and their values, those that the model knows. */
  readonly shown?: Readonly<Record<string, unknown>>;
  /** Of a content that is read. */
  readonly text?: string;
}

interface Instance {
  readonly id: string;
  readonly text: string;
}

class Resource {
  readonly children = new Map<string, Resource>();
  readonly instances: Instance[] = [];
  attributes: Record<string, unknown> = {};

  constructor(readonly type: string) {}
}

const DEFAULTS = { maxNrOfInstances: 20, maxByteSize: 20_480 };
const LIMITS = {
  maxNrOfInstances: [1, 200],
  maxByteSize: [10, 1_024_000],
  maxInstanceAge: [86_400, 31_536_000],
} as const;
const SIZES = Object.keys(LIMITS) as (keyof typeof LIMITS)[];
const WRITABLE: Readonly<Record<string, readonly string[]>> = {
  application: ['searchStrings'],
  container: ['searchStrings', ...SIZES],
};
const ID = { application: 'appId', container: 'id' } as const;
const COLLECTIONS: Readonly<Record<string, readonly string[]>> = {
  sclBase: ['applications', 'containers'],
  application: ['containers'],
  container: ['contentInstances'],
};
const CREATES: Readonly<Record<string, 'application' | 'container'>> = {
  applications: 'application',
  containers: 'container',
};
const NOT_AN_ID = ['', 'a/b', '.', '..', 'latest', 'oldest', 'content', 'subscriptions', 'creationTime'];

export class Model {
  private readonly root = new Resource('sclBase');

  constructor() {
    this.bear(this.root);
  }

  ask(asked: Asked): Expected {
    const { to, op } = asked;
    if (to[0] !== 'm2m') return { status: 404 };
    let at = this.root;
    for (const [index, segment] of to.slice(1).entries()) {
      const child = at.children.get(segment);
      if (child) {
        at = child;
        continue;
      }
      const rest = to.slice(index + 2);
      if (at.type === 'contentInstances') return this.instance(at, segment, rest, op);
      return rest.length === 0 && at.attributes[segment] !== undefined
        ? this.attribute(at, segment, op)
        : { status: 404 };
    }
    switch (op) {
      case 'create':
        return this.create(at, asked);
      case 'retrieve':
        return { status: 200, shown: this.shown(at) };
      case 'update':
        return this.update(at, asked);
      case 'delete':
        return this.remove(to, at);
    }
  }

  private bear(owner: Resource): void {
    for (const name of COLLECTIONS[owner.type] ?? []) owner.children.set(name, new Resource(name));
  }

  private create(at: Resource, asked: Asked): Expected {
    if (at.type === 'contentInstances' || at.type === 'container') return this.append(at, asked.text ?? '');
    const type = CREATES[at.type];
    if (!type) return { status: 405 };
    const { root, attributes = {} } = asked;
    if (root !== type) return { status: 400 };
    const settled = settle(type, attributes, [ID[type]]);
    if (!settled) return { status: 400 };
    const id = attributes[ID[type]];
    if (typeof id !== 'string' || NOT_AN_ID.includes(id)) return { status: 400 };
    if (at.children.has(id)) return { status: 409 };
    const resource = new Resource(type);
    resource.attributes = { ...settled, [ID[type]]: id };
    this.bear(resource);
    at.children.set(id, resource);
    return { status: 201 };
  }

  private append(at: Resource, text: string): Expected {
    const container = at.type === 'container' ? at : this.ownerOf(at);
    const { instances } = container;
    const { maxByteSize, maxNrOfInstances } = container.attributes as Record<string, number | undefined>;
    // An empty body is none: CoAP cannot tell them apart.
    if (text === '' || text.length > (maxByteSize ?? Infinity)) return { status: 400 };
    instances.push({ id: '', text });
    this.retain(container, maxNrOfInstances, maxByteSize);
    return { status: 201 };
  }

  private retain({ instances }: Resource, most = Infinity, mostBytes = Infinity): void {
    while (instances.length > most || sizeOf(instances) > mostBytes) instances.shift();
  }

  private ownerOf(contentInstances: Resource): Resource {
    const search = (resource: Resource): Resource | undefined => {
      for (const child of resource.children.values()) {
        if (child === contentInstances) return resource;
        const found = search(child);
        if (found) return found;
      }
      return undefined;
    };
    return search(this.root) ?? contentInstances;
  }

  private update(at: Resource, { root, attributes = {} }: Asked): Expected {
    if (at.type === 'contentInstances') return { status: 405 };
    const isCollection = CREATES[at.type] !== undefined;
    if (root !== at.type) return { status: 400 };
    const settled =
      isCollection || at.type === 'sclBase' ? settle('', attributes, []) : settle(at.type, attributes, []);
    if (!settled) return { status: 400 };
    if (isCollection || at.type === 'sclBase') return { status: 200 };
    const id = ID[at.type as 'container'];
    at.attributes = { ...settled, [id]: at.attributes[id] };
    const { maxNrOfInstances, maxByteSize } = at.attributes as Record<string, number | undefined>;
    this.retain(at, maxNrOfInstances, maxByteSize);
    return { status: 200 };
  }

  private remove(to: readonly string[], at: Resource): Expected {
    if (!ID[at.type as 'container']) return { status: 405 };
    let parent = this.root;
    for (const segment of to.slice(1, -1)) parent = parent.children.get(segment) ?? parent;
    parent.children.delete(to.at(-1) ?? '');
    return { status: 200 };
  }

  private attribute(at: Resource, name: string, op: Asked['op']): Expected {
    if (op === 'retrieve') return { status: 200, shown: { [name]: at.attributes[name] } };
    return { status: op === 'delete' ? 405 : 400 };
  }

  private instance(at: Resource, name: string, rest: readonly string[], op: Asked['op']): Expected {
    const { instances } = this.ownerOf(at);
    if (name !== 'latest' && name !== 'oldest') return { status: 404 };
    const one = name === 'latest' ? instances.at(-1) : instances[0];
    if (rest.length > 0 && rest.join('/') !== 'content') return { status: 404 };
    if (op === 'create') return { status: 400 };
    if (op === 'update' || (op === 'delete' && rest.length > 0)) return { status: 405 };
    if (!one) return { status: 404 };
    if (op === 'retrieve') return rest.length > 0 ? { status: 200, text: one.text } : { status: 200 };
    instances.splice(instances.indexOf(one), 1);
    return { status: 200 };
  }

  private shown(at: Resource): Readonly<Record<string, unknown>> {
    if (at.type === 'contentInstances') {
      const { instances } = this.ownerOf(at);
      return { currentNrOfInstances: instances.length, currentByteSize: sizeOf(instances) };
    }
    return at.attributes;
  }
}

const sizeOf = (instances: readonly Instance[]): number => instances.reduce((sum, { text }) => sum + text.length, 0);

/** The attributes as they are kept, or undefined for what is refused. */
function settle(
  type: string,
  given: Readonly<Record<string, unknown>>,
  ids: readonly string[],
): Record<string, unknown> | undefined {
  const writable = WRITABLE[type] ?? [];
  for (const [name, value] of Object.entries(given)) {
    if (ids.includes(name)) {
      if (typeof value !== 'string') return undefined;
    } else if (!writable.includes(name)) return undefined;
    else if (SIZES.includes(name as 'maxByteSize') && !(Number.isSafeInteger(value) && Number(value) >= 0))
      return undefined;
  }
  const settled: Record<string, unknown> = {};
  if (type !== '') settled.searchStrings = given.searchStrings ?? { searchString: [] };
  if (type !== 'container') return settled;
  const isAnyGiven = SIZES.some((name) => given[name] !== undefined);
  for (const name of SIZES) {
    const value = given[name];
    const [least, most] = LIMITS[name];
    if (typeof value === 'number') settled[name] = Math.min(Math.max(value, least), most);
    else if (name !== 'maxInstanceAge') settled[name] = isAnyGiven ? most : DEFAULTS[name];
    // An age that nobody gave is infinite where it has no finite default.
  }
  return settled;
}
