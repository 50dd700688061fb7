int first_checks();

int main() {
    return first_checks();
}
