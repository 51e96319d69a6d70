"""MLflow's model-registry REST API over our own tables.

`grammar` reads filters and orders, `search` turns them into pages of rows, `answers` writes rows as
MLflow does, `messages` says what requests hold, `refusals` how errors look, `views` joins them.
"""
