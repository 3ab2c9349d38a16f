// Imports a package of this folder for programs that are elsewhere, also one that has no CommonJS form.

/** The package's module. */
export const load = (name) => import(name);
