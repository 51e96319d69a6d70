"""Pages of lists."""

from rest_framework.pagination import CursorPagination


class KeysetPagination(CursorPagination):
    """Pages by position, not by offset: the millionth row costs what the first one does."""

    ordering = "-id"
    page_size_query_param = "page_size"
    max_page_size = 200
