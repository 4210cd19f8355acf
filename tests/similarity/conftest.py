"""The reference library, and graphs in its form."""

import warnings

import pytest


@pytest.fixture(scope="session")
def grakel_gram():
    """``grakel_gram(name, graphs, **options)``: the normalised Gram matrix by GraKeL's class of that name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import grakel

    def gram(name, graphs, **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            converted = [
                grakel.Graph(
                    {a: {b: 1.0 for s, b in graph.edges if s == a} for a in range(len(graph))},
                    node_labels=dict(enumerate(graph.labels)),
                )
                for graph in graphs
            ]
            kernel = getattr(grakel.kernels, name)(normalize=True, **options)
            return kernel.fit_transform(converted), kernel

    return gram
