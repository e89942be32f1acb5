"""The list of cases. A scenario registers itself with its category, variant, system and environment."""

CASES = []


def case(category, variant, system, env, family, difficulty="medium", nodes=None, name=None):
    """Registers a scenario: a function that gets the Setting, builds the fault and gives the truth."""
    def wrap(fn):
        ident = name or f"{category.replace('_', '-')}-{variant}"
        CASES.append({"id": ident, "category": category, "variant": variant, "system": system, "env": env, "family": family, "difficulty": difficulty, "nodes": nodes, "build": fn})
        return fn
    return wrap


def held_out(entry):
    """Every third variant is kept aside."""
    return entry["variant"] % 3 == 0
