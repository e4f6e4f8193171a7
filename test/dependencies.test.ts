import { readFileSync } from 'node:fs';

interface PackageFile {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
  readonly optionalDependencies: Readonly<Record<string, string>>;
}
const packageFile = JSON.parse(readFileSync('package.json', 'utf8')) as PackageFile;
const page = readFileSync('docs/dependencies.md', 'utf8');

/** The rows of the tables: name in backticks, what for, why this one, licence. */
const rows = page.split('\n').flatMap((line) => {
  const [, name, ...cells] = /^\| `([^`]+)` *\|(.*)\|$/.exec(line) ?? [];
  return name === undefined
    ? []
    : [
        {
          name,
          cells: cells
            .join('')
            .split('|')
            .map((cell) => cell.trim()),
        },
      ];
});

describe('docs/dependencies.md', () => {
  test('has a row for each package of package.json, and no other', () => {
    const { dependencies, devDependencies, optionalDependencies } = packageFile;
    const names = Object.keys({ ...dependencies, ...devDependencies, ...optionalDependencies });
    expect(rows.map(({ name }) => name).sort()).toEqual(names.sort());
  });

  test('tells of each what for, why this one, and its licence', () => {
    for (const { name, cells } of rows)
      expect({ name, told: cells.filter((cell) => cell !== '').length }).toEqual({ name, told: 3 });
  });

  test('names the licence that each installed package declares', () => {
    for (const { name, cells } of rows) {
      let declared: { license?: string };
      try {
        declared = JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8')) as { license?: string };
      } catch {
        continue; // an optional package of another platform
      }
      expect({ name, licence: cells[2] }).toEqual({ name, licence: declared.license });
    }
  });
});
